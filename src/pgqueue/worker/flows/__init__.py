"""Admits jobs of flows."""
