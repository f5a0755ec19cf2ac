"""Runs a worker in several processes."""
