"""The table of mistakes as a page for users: what is said, why, and what to do."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from tests.mistakes.mistake import PRELUDE, Mistake
from tests.mistakes.table import TABLE

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "errors.md"
_WIDTH = 110
_HEADING = 80
_TITLE = f"""\
# Errors by message

Search this page for a part of your message, without your own names and numbers. `...` stands for
what differs from time to time. Each entry has the message, the code that led to it, the cause, and
what to do.

{{contents}}

This page is written by `make pages` from the table in `tests/mistakes`, and a test makes each
mistake. The code of each entry stands behind these lines:

```python
{PRELUDE.strip()}
```
"""


def page() -> str:
    """The page, as it is to stand in docs/guide."""
    contents = "\n".join(f"- [{area}](#{area.lower().replace(' ', '-')})" for area in TABLE)
    parts = [_TITLE.format(contents=contents)]
    for area, rows in TABLE.items():
        parts.append(f"## {area}\n")
        parts += [_entry(row) for row in rows]
    return "\n".join(parts)


def _entry(row: Mistake) -> str:
    blocks = [f"### `{_heading(row.says)}`", _block("text", row.says)]
    if row.command:
        blocks.append(_block("sh", row.command))
    if row.code:
        blocks.append(_block("python", row.code.strip()))
    where = "A worker meets it when it runs the job. " if row.job else ""
    prose = f"{where}{row.cause} {row.remedy}"
    blocks.append(textwrap.fill(prose, _WIDTH, break_long_words=False, break_on_hyphens=False))
    return "\n\n".join(blocks) + "\n"


def _heading(says: str) -> str:
    """The beginning of a message, without the name of its class."""
    text = re.sub(r"^(\w+|pgqueue|\.\.\.):? ", "", says).splitlines()[0]
    text = re.split(r"; |: (?=pass|get|run|use)", text)[0]
    return textwrap.shorten(text, _HEADING, placeholder=" …")


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"
