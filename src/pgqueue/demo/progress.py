"""What a demo says while it runs: a bar on a terminal, lines elsewhere; always on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pgqueue.observe.plain import plain

__all__ = ["Bar", "Lines", "Voice", "voice"]

_LINE_EVERY = 1.0


class Lines:
    """A line for each event, and one a second for how far it is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_at = 0.0
        self._said = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def say(self, text: str) -> None:
        """Tell an event."""
        self._console.print(escape(plain(text)), soft_wrap=True)

    def show(self, done: int, total: int) -> None:
        """Tell how far it is."""
        now = time.monotonic()
        if done != self._said and (now - self._said_at >= _LINE_EVERY or done == total):
            self._said_at, self._said = now, done
            self.say(f"{done} of {total} files")


class Bar(Lines):
    """A bar that moves, and events above it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            TextColumn("files"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._bar = self._progress.add_task("files", total=None, visible=False, rate="")
        self._began: float | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, done: int, total: int) -> None:
        """Move the bar."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
            self._progress.reset(self._bar, total=total)
        rate = f"{done / (now - self._began):.0f}/s" if now - self._began > _LINE_EVERY else ""
        self._progress.update(self._bar, completed=done, total=total, visible=True, rate=rate)


Voice = Lines | Bar


def voice() -> Voice:
    """Return the right one for this stderr."""
    console = Console(stderr=True, highlight=False)
    return Bar(console) if console.is_terminal else Lines(console)
