"""Transactions as the server's log has them, counted exactly and at once.

pg_stat_database would do for long windows only: a session that sleeps reports up to 10 s late what
it did. The wheel has no pg_stat_statements.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cluster import Database

__all__ = ["Trace", "count", "name_of", "traced"]

_LINE = re.compile(
    r"bench-trace (?P<database>\S+) (?P<transaction>\d+/\d+) \S+ +"
    r"(?:execute [^:]*|statement): *(?P<text>.*)"
)
_NAME = re.compile(r"/\* *(\w+) *\*/")
_SETTINGS = {"log_line_prefix": "bench-trace %d %v ", "log_statement": "all"}
_HEED_SECONDS = 0.2  # until every process has heard of new settings


class Trace:
    def __init__(self, log: Path, database: str) -> None:
        self._log = log
        self._database = database
        self._from = 0
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._from = self._log.stat().st_size

    def transactions(self) -> Counter[str]:
        """Transactions since ``begin``, by what the first statement of each does."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            text = log.read().decode(errors="replace")
        return count(text.splitlines(), self._database)


@contextmanager
def traced(database: Database) -> Iterator[Trace]:
    """Log the statements of all sessions, those that are open already included, for the body."""
    server = database.server
    for name, value in _SETTINGS.items():
        server.set(name, value)
    time.sleep(_HEED_SECONDS)
    try:
        yield Trace(server.cluster.log_file, database.name)
    finally:
        for name in _SETTINGS:
            server.set(name, None)


def count(lines: Iterable[str], database: str) -> Counter[str]:
    """Count the transactions in these lines of a log, by the name of their first statement."""
    names: dict[str, str] = {}
    unnamed: str | None = None  # its statement has said nothing so far
    for line in lines:
        if unnamed is not None and line.startswith("\t") and (name := name_of(line)):
            names[unnamed] = name
            unnamed = None
        found = _LINE.match(line)
        if found is None or found["database"] != database or found["transaction"] in names:
            continue
        names[found["transaction"]] = name_of(found["text"])
        unnamed = None if names[found["transaction"]] else found["transaction"]
    return Counter(names.values())


def name_of(text: str) -> str:
    """What to call a statement: the name in a comment before it, or its first words."""
    text = text.lstrip("-\t ")
    if named := _NAME.match(text):
        return named[1]
    return " ".join(text.split()[:3]).rstrip(".:;,").lower()
