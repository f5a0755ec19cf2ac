"""Writes what attempts came to."""
