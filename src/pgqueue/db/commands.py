"""The commands of a migration, one by one.

Citus forwards the text of a command to other nodes, and refuses one that stands among others.
"""

from __future__ import annotations

import re

__all__ = ["commands"]

# What is matched as a whole holds no end of a command. A body that is not quoted ends with a line
# that begins with "end".
_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
    | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
    | \$ (?P<tag> (?:[a-zA-Z_]\w*)? ) \$ .*? \$ (?P=tag) \$
    | \b begin \s+ atomic \b .*? ^end (?=;)
    | (?P<end> ; )
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def commands(sql: str) -> list[str]:
    """Return the commands of this text in their order, each with the comments before it."""
    found: list[str] = []
    start = 0
    for token in _TOKEN.finditer(sql):
        if token["end"]:
            found.append(sql[start : token.start()].strip())
            start = token.end()
    rest = sql[start:].strip()
    if _TOKEN.sub(lambda token: "" if token["comment"] else token[0], rest).strip():
        found.append(rest)
    return found
