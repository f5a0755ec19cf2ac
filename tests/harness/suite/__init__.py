"""The run of the whole suite, as ``make test`` does it: ``python -m tests.harness.suite``.

Tests that bear neighbours run together in several processes; those of real processes, signals and
faults (marker ``alone``) run after them, one at a time. What failed is run again, twice, when all
else is over: what passes both times is *unsteady*, and a run with one or two of these passes.
"""
