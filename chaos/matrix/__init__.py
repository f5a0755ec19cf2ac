"""The kill matrix: each place of ``pgqueue.failpoints``, with each of kill, stop and cut.

Nothing is imported here: its actors start by the hundred, and need little of it.
"""
