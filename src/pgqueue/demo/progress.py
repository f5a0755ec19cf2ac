"""What a demo says while it runs: a bar on a terminal, lines elsewhere; always on stderr."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Column

from pgqueue.demo.names import LARGE, SMALL
from pgqueue.observe.plain import plain

__all__ = ["Bar", "Lines", "Look", "Voice", "voice"]

_LINE_EVERY = 1.0
_BAR_WIDTH = 22


@dataclass(frozen=True, slots=True)
class Look:
    """How far a run is: files done of each tenant, of how many; how many jobs of the large one are
    in line; seconds that those of the small one waited (median)."""

    large: int
    large_total: int
    small: int
    small_total: int
    in_line: int
    wait: float | None

    @property
    def done(self) -> int:
        """Files of both."""
        return self.large + self.small

    @property
    def total(self) -> int:
        """Files of both."""
        return self.large_total + self.small_total

    def waits(self) -> str:
        """Say how long jobs of the small tenant wait, or nothing."""
        return "" if self.wait is None else f"waits {self.wait:.2f} s (median)"


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

    def show(self, look: Look) -> None:
        """Tell how far it is."""
        now, done = time.monotonic(), look.done
        if done != self._said and (now - self._said_at >= _LINE_EVERY or done == look.total):
            self._said_at, self._said = now, done
            small = f"; {SMALL}: {look.waits()}" if look.wait is not None else ""
            self.say(f"{done} of {look.total} files; {LARGE}: {look.in_line} in line{small}")


class Bar(Lines):
    """A bar for each tenant, and events above them."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(_BAR_WIDTH),
            MofNCompleteColumn(table_column=Column(justify="right")),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._large, self._small = (
            self._progress.add_task(f"{tenant} tenant", total=None, visible=False, note="")
            for tenant in (LARGE, SMALL)
        )
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

    def show(self, look: Look) -> None:
        """Move the bars."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
        rate = (
            f", {look.done / (now - self._began):.0f}/s" if now - self._began > _LINE_EVERY else ""
        )
        self._move(self._large, look.large, look.large_total, f"{look.in_line} in line{rate}")
        if look.small_total:
            self._move(self._small, look.small, look.small_total, look.waits())

    def _move(self, bar: TaskID, done: int, total: int, note: str) -> None:
        self._progress.update(bar, completed=done, total=total, visible=True, note=note)


Voice = Lines | Bar


def voice() -> Voice:
    """Return the right one for this stderr."""
    console = Console(stderr=True, highlight=False)
    return Bar(console) if console.is_terminal else Lines(console)
