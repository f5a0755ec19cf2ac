"""A task whose jobs run in child processes, and return at once."""

from __future__ import annotations

from pgqueue import App

__all__ = ["app", "short"]

app = App()


@app.task(executor="process")
def short(number: int) -> int:
    """Return at once."""
    return number + 1
