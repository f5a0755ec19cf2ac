"""What is in a file: no database, no queue."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

__all__ = ["BadFile", "Sale", "parse"]


class BadFile(Exception):
    """A file that no second try makes better."""


class Sale(NamedTuple):
    """One line of a file; ``cents``: what was paid."""

    line: int
    day: date
    product: str
    cents: int


def parse(path: Path) -> Iterator[Sale]:
    """Yield the sales of a file with lines ``day,product,cents``; BadFile names a wrong line."""
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.reader(file), start=1):
            try:
                day, product, cents = row
                yield Sale(line, date.fromisoformat(day), product, int(cents))
            except ValueError as error:
                raise BadFile(f"{path.name}, line {line}: {error}") from error
