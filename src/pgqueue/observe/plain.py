"""Text from the database or a user, made safe to show: it acts on no terminal and no log."""

from __future__ import annotations

import re

__all__ = ["plain"]

# C0 and C1 controls, line and paragraph separators, marks that reorder or hide what is shown,
# and lone surrogates, which no stream can encode.
_ACTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def plain(text: object) -> str:
    """Return the text on one line, with every character that could act shown as its escape."""
    return _ACTIVE.sub(_escape, str(text))


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
