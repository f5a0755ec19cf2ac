"""Hooks for frameworks, ready for ``App(around=[...])``: ``django`` and ``flask`` import theirs."""
