"""The streams of a process as they are: not UTF-8, or not there at all."""

from __future__ import annotations

import codecs
import io
import os
import sys

__all__ = ["settle"]

# click takes a stream of the encoding "ascii" for a mistake, and writes UTF-8 to it.
_ASCII = "pgqueue_ascii"


def settle() -> None:
    r"""Let what a stream cannot show be printed as an escape, such as \u0141.

    Where it is not UTF-8, that is all beyond ASCII: nobody knows how its reader decodes, and a pipe
    or a log collector often expects UTF-8 all the same. ASCII is alike in all encodings.

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
            utf8 = codecs.lookup(stream.encoding).name == "utf-8"
            stream.reconfigure(
                encoding=None if utf8 else _ASCII,
                errors="backslashreplace",
            )


def _find(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_.encode,
        ascii_.decode,
        incrementalencoder=ascii_.incrementalencoder,
        incrementaldecoder=ascii_.incrementaldecoder,
        name=_ASCII,
    )


codecs.register(_find)
