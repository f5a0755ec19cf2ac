"""Runs claimed jobs: slots, attempts, and what an attempt comes to."""
