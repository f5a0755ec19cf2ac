"""The streams of a process as they are: not UTF-8, or not there at all."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["settle"]


def settle() -> None:
    r"""Let what a stream has no letter for be printed as an escape, such as \u0141.

    A closed stream becomes one that leads nowhere, here and in the processes that we start: a
    connection must not take its number.
    """
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(nowhere, True)
            setattr(sys, name, os.fdopen(nowhere, "r" if number == 0 else "w"))
        elif number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
