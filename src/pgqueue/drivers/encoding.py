"""Text that a database of another encoding than UTF-8 cannot hold: refused before any SQL.

The server would refuse it as well, and abort the caller's transaction with that.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pgqueue.errors import ConfigError, PayloadError, shown

__all__ = ["Encoding", "Libpq", "check_encoding", "of_asyncpg", "of_libpq", "of_server"]

# PostgreSQL's names where Python has another, all without punctuation. SQL_ASCII keeps whatever
# bytes it is given; UTF8 has every character.
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
# What PostgreSQL can store and Python's codec of that name cannot: codecs, and characters. What
# only the server knows better is sent to it; what it stores is never refused here.
_WIDER = {
    "eucjp": (("cp932", "euc_jis_2004"), ""),
    "euckr": (("cp949",), "\u327e"),
    "eucjis2004": (("latin1",), "\u2014\u203e\uff5f\uff60"),
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """``name``: PostgreSQL's. It has what one of ``codecs`` has, and the characters of ``more``."""

    name: str
    codecs: tuple[str, ...]
    more: str = ""

    def lack(self, text: str) -> str | None:
        """Return the first character of ``text`` that it does not have, if any."""
        if _has(self.codecs[0], text):
            return None
        return next(
            (
                character
                for character in text
                if character not in self.more
                and not any(_has(codec, character) for codec in self.codecs)
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


def of_asyncpg(connection: Any) -> Iterator[Encoding | None]:
    """Yield the encoding that a text has to keep to; asyncpg itself speaks UTF-8."""
    yield of_server(getattr(connection.get_settings(), "server_encoding", None))


def of_libpq(connection: Libpq) -> Iterator[Encoding | None]:
    """Yield the encodings that a text has to keep to, the session's and the database's.

    The session's is that of the driver, which encodes by Python's codec. In a session of
    SQL_ASCII its UTF-8 is taken for the database's encoding.
    """
    ours = connection.info.parameter_status("client_encoding")
    theirs = connection.info.parameter_status("server_encoding")
    yield _of_driver("ascii" if ours == "SQL_ASCII" and theirs not in ("UTF8", ours) else ours)
    yield of_server(theirs)


def check_encoding(
    values: Sequence[str | int], encodings: Callable[[], Iterable[Encoding | None]]
) -> None:
    """Raise PayloadError or ConfigError for parameters that hold what cannot be stored.

    Only text beyond ASCII asks for the encodings; an unknown encoding is left to the server.
    """
    odd = [value for value in values if isinstance(value, str) and not value.isascii()]
    if not odd:
        return
    for encoding in encodings():
        if encoding is not None and any(encoding.lack(text) for text in odd):
            raise _refusal(values, encoding)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


@functools.lru_cache(maxsize=64)
def _of_driver(name: str | None) -> Encoding | None:
    if name is None or _plain(name) in _ALL:
        return None
    codec = _PYTHON.get(_plain(name), name)
    try:
        "".encode(codec)
    except LookupError:
        return None
    return Encoding(name, (codec,))


@functools.lru_cache(maxsize=64)
def of_server(name: str | None) -> Encoding | None:
    """Return a database's encoding; None if it has all characters, or is not known."""
    encoding = _of_driver(name)
    if encoding is None:
        return None
    codecs, more = _WIDER.get(_plain(encoding.name), ((), ""))
    return Encoding(encoding.name, (*encoding.codecs, *codecs), more)


def _refusal(values: Sequence[str | int], encoding: Encoding) -> Exception:
    """Return the error that says where the first such character stands."""
    where, path, character = next(
        (option, path, character)
        for job in _jobs(values)
        for option, value in job.items()
        for path, character in _odd(value, encoding, "$")
    )
    why = f"holds {character!a}, which a database or session of the encoding {encoding.name}"
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


def _odd(value: object, encoding: Encoding, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each text within that holds such a character, and the character."""
    match value:
        case str():
            character = encoding.lack(value)
            if character is not None:
                yield path, character
        case dict():
            for key, item in cast("dict[str, object]", value).items():
                step = f".{key}" if key.isidentifier() else f"[{shown(key)}]"
                yield from _odd(key, encoding, path + step)
                yield from _odd(item, encoding, path + step)
        case list():
            for n, item in enumerate(cast("list[object]", value)):
                yield from _odd(item, encoding, f"{path}[{n}]")
        case _:
            pass
