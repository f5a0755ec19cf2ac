"""Text that a database of another encoding than UTF-8 has no letters for: refused before any SQL.

The server would refuse it as well, and abort the caller's transaction with that.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pgqueue.errors import ConfigError, PayloadError, shown

__all__ = ["Letters", "Libpq", "check_letters", "of_asyncpg", "of_libpq", "of_server"]

# PostgreSQL's names where Python has another, all without punctuation. SQL_ASCII keeps whatever
# bytes it is given; UTF8 has every letter.
_PYTHON = {
    "eucjis2004": "euc_jis_2004",
    "euccn": "gb2312",
    "koi8r": "koi8_r",
    "koi8u": "koi8_u",
    "latin6": "iso8859_10",
    "latin7": "iso8859_13",
    "latin8": "iso8859_14",
    "latin9": "iso8859_15",
    "latin10": "iso8859_16",
    **{f"win{n}": f"cp{n}" for n in (866, 874, *range(1250, 1259))},
}
_ALL = frozenset({"sqlascii", "unicode", "utf8"})
# What PostgreSQL has letters for and Python's codec of that name has not: codecs, and letters. What
# only the server knows better is sent to it; what it stores is never refused here.
_WIDER = {
    "eucjp": (("cp932", "euc_jis_2004"), ""),
    "euckr": (("cp949",), "\u327e"),
    "eucjis2004": (("latin1",), "\u2014\u203e\uff5f\uff60"),
}


@dataclass(frozen=True, slots=True)
class Letters:
    """``name``: PostgreSQL's. A letter is had if a codec has it, or it is one of ``more``."""

    name: str
    codecs: tuple[str, ...]
    more: str = ""

    def lack(self, text: str) -> str | None:
        """Return the first letter of ``text`` that there is not, if any."""
        if _has(self.codecs[0], text):
            return None
        return next(
            (
                letter
                for letter in text
                if letter not in self.more and not any(_has(codec, letter) for codec in self.codecs)
            ),
            None,
        )


def _has(codec: str, text: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


class _Info(Protocol):
    def parameter_status(self, name: str, /) -> str | None: ...


class Libpq(Protocol):
    """A connection of psycopg or psycopg2."""

    @property
    def info(self) -> _Info: ...


def of_asyncpg(connection: Any) -> Iterator[Letters | None]:
    """Yield the letters that a text has to keep to; asyncpg itself speaks UTF-8."""
    yield of_server(getattr(connection.get_settings(), "server_encoding", None))


def of_libpq(connection: Libpq) -> Iterator[Letters | None]:
    """Yield the letters that a text has to keep to, the session's and the database's.

    The session's are those of the driver, which encodes by Python's codec. In a session of
    SQL_ASCII its UTF-8 is taken for letters of the database's encoding.
    """
    ours = connection.info.parameter_status("client_encoding")
    theirs = connection.info.parameter_status("server_encoding")
    yield _of_driver("ascii" if ours == "SQL_ASCII" and theirs not in ("UTF8", ours) else ours)
    yield of_server(theirs)


def check_letters(
    values: Sequence[str | int], alphabets: Callable[[], Iterable[Letters | None]]
) -> None:
    """Raise PayloadError or ConfigError for parameters that hold what cannot be stored.

    Only text beyond ASCII asks for the letters; an unknown encoding is left to the server.
    """
    odd = [value for value in values if isinstance(value, str) and not value.isascii()]
    if not odd:
        return
    for letters in alphabets():
        if letters is not None and any(letters.lack(text) for text in odd):
            raise _refusal(values, letters)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


@functools.lru_cache(maxsize=64)
def _of_driver(name: str | None) -> Letters | None:
    if name is None or _plain(name) in _ALL:
        return None
    codec = _PYTHON.get(_plain(name), name)
    try:
        "".encode(codec)
    except LookupError:
        return None
    return Letters(name, (codec,))


@functools.lru_cache(maxsize=64)
def of_server(name: str | None) -> Letters | None:
    """Return the letters of a database's encoding; None if it has all, or is not known."""
    letters = _of_driver(name)
    if letters is None:
        return None
    codecs, more = _WIDER.get(_plain(letters.name), ((), ""))
    return Letters(letters.name, (*letters.codecs, *codecs), more)


def _refusal(values: Sequence[str | int], letters: Letters) -> Exception:
    """Return the error that says where the first of these letters stands."""
    where, path, letter = next(
        (option, path, letter)
        for job in _jobs(values)
        for option, value in job.items()
        for path, letter in _odd(value, letters, "$")
    )
    why = f"holds {letter!a}, which a database or session of the encoding {letters.name}"
    why += " cannot store"
    if where == "args":
        return PayloadError(f"{path}: {why}", path=path)
    if where == "metadata":
        return PayloadError(f"metadata: {path}: {why}", path=path)
    return ConfigError(f"{where} {why}")


def _jobs(values: Sequence[str | int]) -> Iterator[dict[str, Any]]:
    """Yield what one call enqueues: of documents, or of plain values, one or many arguments."""
    if len(values) == 1:
        yield from json.loads(str(values[0]))
        return
    task, args, queue, *_ = values
    yield {"task": task, "queue": queue}
    loaded: Any = json.loads(str(args))
    for each in cast("list[Any]", loaded if isinstance(loaded, list) else [loaded]):
        yield {"args": each}


def _odd(value: object, letters: Letters, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and letter of each text within that holds one that there is not."""
    match value:
        case str():
            letter = letters.lack(value)
            if letter is not None:
                yield path, letter
        case dict():
            for key, item in cast("dict[str, object]", value).items():
                step = f".{key}" if key.isidentifier() else f"[{shown(key)}]"
                yield from _odd(key, letters, path + step)
                yield from _odd(item, letters, path + step)
        case list():
            for n, item in enumerate(cast("list[object]", value)):
                yield from _odd(item, letters, f"{path}[{n}]")
        case _:
            pass
