"""Faults on purpose: a workload, faults drawn from a seed, and a checker.

See docs/internals/testing-faults.md.
"""
