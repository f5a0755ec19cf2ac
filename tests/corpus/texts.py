"""Texts that PostgreSQL, JSON, a codec or a terminal trips over."""

from __future__ import annotations

from typing import Any

__all__ = ["GIANTS", "TEXTS"]

LONG = 5_000_000


class OddStr(str):
    """Equal to a string, and of no use as one."""

    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        raise RuntimeError("no bytes")

    def replace(self, *_: Any, **__: Any) -> str:
        raise SystemExit(9)

    def __len__(self) -> int:
        return -1  # noqa: PLE0303

    def __getitem__(self, _: Any) -> str:
        raise KeyboardInterrupt

    def __str__(self) -> str:
        raise LookupError("no text")

    __repr__ = __format__ = __str__  # type: ignore[assignment]


# Each is made when it is needed.
TEXTS: dict[str, Any] = {
    "empty": lambda: "",
    "NUL": lambda: "a\0b",
    "NUL alone": lambda: "\0",
    "NULs": lambda: "\0" * 5_000,
    "high surrogate": lambda: "a\ud800b",
    "low surrogate": lambda: "\udfff",
    "pair the wrong way round": lambda: "\udc00\ud800",
    "bytes that are not UTF-8": lambda: b"\xff\xfe\x80".decode("utf-8", "surrogateescape"),
    "surrogate at a cut": lambda: "x" * 999 + "\ud83d" * 5_000,
    "beyond the BMP": lambda: "\U0001f4a3\U0010ffff",
    "noncharacters": lambda: "\uffff\ufdd0\U0001fffe",
    "LATIN1": lambda: "naïve café ÿ\xa0",
    "not LATIN1": lambda: "Ж 語 ŵ €",
    "combining": lambda: "e" + "\u0301" * 20_000,
    "directions": lambda: "\u202eevil\u2066\u200f\ufeff",
    "controls": lambda: "".join(map(chr, range(1, 32))) + "\x7f\x85\x9b",
    "escapes of a terminal": lambda: "\x1b]0;title\x07\x1b[2J",
    "lines": lambda: "one\r\ntwo\u2028three\x0bfour\n" * 500,
    "an escape as text": lambda: r"\u0000 \ud800 \x00 \\u0000",
    "JSON": lambda: '"}], "state": "completed", {"',
    "SQL": lambda: "'; drop schema pgqueue cascade; --$1 %s :x",
    "format": lambda: "{} {0.__class__} %d %(x)s {",
    "5 MB": lambda: "x" * LONG,
    "5 MB of NULs and surrogates": lambda: "\0\ud800" * (LONG // 2),
    "a string of a class of its own": lambda: OddStr("odd\0"),
}

GIANTS: dict[str, Any] = {
    "50 MB": lambda: "x" * (10 * LONG),
    "50 MB of NULs and surrogates": lambda: "\0\ud800" * (5 * LONG),
}
