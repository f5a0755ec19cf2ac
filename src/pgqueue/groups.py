"""The single errors in an exception group: asyncio.TaskGroup and anyio raise them in groups.

A group says nothing by itself; what it comes to is decided by the errors in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

__all__ = ["MOST", "leaves"]

MOST = 1_000
"""So many errors of one group are looked at, and so many groups within it."""

# By the base class: a subclass may have an attribute of that name that raises, or never ends.
_members = cast(
    "Callable[[BaseException], tuple[BaseException, ...]]",
    BaseExceptionGroup.exceptions.__get__,  # type: ignore[attr-defined]
)


def leaves(error: BaseException) -> list[BaseException]:
    """Return the errors in a group and in the groups within it, in order; else the error itself.

    Where groups are nested too deep to find an error in them, the outermost stands for all.
    """
    found: list[BaseException] = []
    waiting = [error]
    groups = 0
    while waiting and len(found) < MOST:
        one = waiting.pop()
        # By its type: __class__ may be a property of the user's, and raise.
        if not issubclass(type(one), BaseExceptionGroup):
            found.append(one)
        elif groups < MOST:
            groups += 1
            waiting += _members(one)[MOST::-1]
    return found or [error]
