"""Arguments and options that are refused: values times places, types, signatures, options."""

from __future__ import annotations

import collections
import enum
import functools
import itertools
import math
import pathlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

from pgqueue import App, Client, ConfigError, NewJob, PayloadError

__all__ = ["BAD", "Bad", "Tasks"]


@dataclass(frozen=True)
class Bad:
    """``make`` must raise ``error``, whose message holds ``says``."""

    name: str
    make: Callable[[Tasks], NewJob]
    says: str
    error: type[Exception] | tuple[type[Exception], ...] = PayloadError


@dataclass
class Box:
    inner: Any


class Row(NamedTuple):
    n: int
    inner: Any


class Words(TypedDict):
    n: int
    inner: Any


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")

    def __eq__(self, other: object) -> bool:
        raise KeyboardInterrupt

    __hash__ = None  # type: ignore[assignment]


Give = Callable[[str, Any, tuple[Any, ...], dict[str, Any]], Any]


class Via:
    """A task, or an app, whose jobs are not made but enqueued: ``give`` says how."""

    def __init__(self, target: Any, give: Give) -> None:
        self._target = target
        self._give = give

    def using(self, **options: Any) -> Via:
        return Via(self._target.using(**options), self._give)

    def job(self, *args: Any, **kwargs: Any) -> Any:
        return self._give("app" if isinstance(self._target, Client) else "task",
                          self._target, args, kwargs)  # fmt: skip


class Tasks:
    """The tasks that the corpus calls, on an app that need not reach its database.

    With ``give``, what would make a job value enqueues it.
    """

    def __init__(self, app: App, give: Give | None = None) -> None:
        self._app = app
        self._give = give
        self.app = self.client = self._via(app)
        self.typed: dict[Any, Any] = {}

        @app.task
        async def any_of(value: Any) -> None: ...

        @app.task
        async def boxed(value: Box) -> None: ...

        @app.task
        async def rowed(value: Row) -> None: ...

        @app.task
        async def worded(value: Words) -> None: ...

        @app.task
        async def many(*rest: Any) -> None: ...

        @app.task
        async def named(**extra: Any) -> None: ...

        @app.task
        async def call(a: int, /, b: int, *, c: int = 3) -> None: ...

        self.plain = any_of
        self.any_of, self.boxed, self.rowed = map(self._via, (any_of, boxed, rowed))
        self.worded, self.many, self.named = map(self._via, (worded, many, named))
        self.call = self._via(call)

    def _via(self, target: Any) -> Any:
        return target if self._give is None else Via(target, self._give)

    def of(self, kind: Any) -> Any:
        """A task with one parameter of that type."""
        key = repr(kind)
        if key not in self.typed:

            async def take(value: Any) -> None: ...

            take.__annotations__["value"] = kind
            self.typed[key] = self._via(self._app.task(name=f"of {key}"[:150])(take))
        return self.typed[key]


# -- values that stand nowhere, and where they are put


def _ring(kind: str) -> Any:
    ring: Any = [] if kind == "list" else {}
    if kind == "list":
        ring.append(ring)
    else:
        ring["again"] = ring
    return ring


def _deep(levels: int, make: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = make(value)
    return value


VALUES: dict[str, Callable[[], Any]] = {
    "NaN": lambda: math.nan,
    "infinity": lambda: math.inf,
    "minus infinity": lambda: -math.inf,
    "a float that jsonb prints as an int": lambda: 1e16,
    "a float far out": lambda: 1.7e308,
    "NUL": lambda: "\0",
    "NUL inside": lambda: "a\0b",
    "NUL behind a backslash": lambda: "\\\0",
    "a high surrogate": lambda: "\ud800",
    "a low surrogate": lambda: "x\udfffy",
    "bytes as text": lambda: b"\xff".decode("utf-8", "surrogateescape"),
    "a huge int": lambda: 10**4300,
    "a huge negative int": lambda: -(10**5000),
    "bytes": lambda: b"x",
    "a bytearray": lambda: bytearray(b"x"),
    "a memoryview": lambda: memoryview(b"x"),
    "a tuple": lambda: (1, 2),
    "a set": lambda: {1},
    "a deque": lambda: collections.deque([1]),
    "an OrderedDict": lambda: collections.OrderedDict(a=1),
    "a naive datetime": lambda: datetime(2024, 1, 1),
    "a datetime": lambda: datetime(2024, 1, 1, tzinfo=UTC),
    "a date": lambda: date(2024, 1, 1),
    "a timedelta": lambda: timedelta(1),
    "a Decimal": lambda: Decimal("1.5"),
    "a UUID": lambda: UUID(int=7),
    "a path": lambda: pathlib.Path("/"),
    "a complex": lambda: 1j,
    "an enum": lambda: Colour.RED,
    "a text of its own class": lambda: Text("x"),
    "a number of its own class": lambda: Number(1),
    "an object": object,
    "a hostile object": Hostile,
    "a class": lambda: Hostile,
    "a function": lambda: print,
    "a generator": lambda: iter([1]),
    "an error": lambda: ValueError("x"),
    "a lock": threading.Lock,
    "an Ellipsis": lambda: ...,
    "a key that is an int": lambda: {1: 1},
    "a key that is None": lambda: {None: 1},
    "a key with NUL": lambda: {"a\0": 1},
    "a key with a surrogate": lambda: {"\ud800": 1},
    "a list in itself": lambda: _ring("list"),
    "a dict in itself": lambda: _ring("dict"),
    "100,000 lists": lambda: _deep(100_000, lambda inner: [inner]),
    "100,000 dicts": lambda: _deep(100_000, lambda inner: {"a": inner}),
    "101 lists": lambda: _deep(101, lambda inner: [inner]),
}
PLACES: dict[str, tuple[str, Callable[[Tasks, Any], NewJob]]] = {
    "a parameter": ("$.value", lambda t, v: t.any_of.job(v)),
    "a list": ("$.value[1]", lambda t, v: t.any_of.job([0, v])),
    "a dict": ('$.value["in here"]', lambda t, v: t.any_of.job({"in here": v})),
    "deep down": ("$.value.a[2].b", lambda t, v: t.any_of.job(value={"a": [0, 1, {"b": v}]})),
    "a dataclass": ("$.value.inner", lambda t, v: t.boxed.job(Box(v))),
    "a NamedTuple": ("$.value.inner", lambda t, v: t.rowed.job(Row(1, v))),
    "a TypedDict": ("$.value.inner", lambda t, v: t.worded.job({"n": 1, "inner": v})),
    "*args": ("$.rest[1]", lambda t, v: t.many.job(0, v)),
    "**kwargs": ("$.extra.some", lambda t, v: t.named.job(some=v)),
    "args by name": ("$.some", lambda t, v: t.client.job("nobody's", {"some": v})),
}

# -- values of the wrong type

WRONG: list[tuple[Any, Any]] = [
    *[(int, v) for v in ("1", 1.0, True, None, [1], Decimal(1))],
    *[(float, v) for v in ("1.0", True, None, 2**53 + 1, 10**400, math.nan, math.inf, 1j)],
    *[(str, v) for v in (b"x", 1, None, ["x"], Text("x"), "\0", "\udc00")],
    *[(bool, v) for v in (0, 1, "true", None)],
    *[(bytes, v) for v in ("x", bytearray(b"x"), None)],
    *[(datetime, v) for v in ("2024-01-01", date(2024, 1, 1), 0, None)],
    (datetime, datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=1)))),
    *[(date, v) for v in ("2024-01-01", datetime(2024, 1, 1), 0)],
    *[(time, v) for v in ("12:00", 12, timedelta(1))],
    *[(timedelta, v) for v in (1, "1", 1.5)],
    *[(Decimal, v) for v in ("1", 1, 1.5)],
    *[(UUID, v) for v in ("0" * 32, 0, b"0" * 16)],
    *[(list[int], v) for v in ((1,), {1}, ["1"], [1, None], "12")],
    *[(set[int], v) for v in ([1], {"a"}, frozenset({1}))],
    *[(tuple[int, str], v) for v in ((1,), (1, 2), [1, "a"], (1, "a", 2))],
    *[(dict[str, int], v) for v in ({"a": "b"}, {1: 1}, [("a", 1)], {"a\0": 1})],
    *[(Colour, v) for v in (1, "RED", None)],
    *[(Literal["a", "b"], v) for v in ("c", None, 1)],
    *[(int | None, v) for v in ("1", 1.5, [])],
    *[(Box, v) for v in ({"inner": 1}, None, Row(1, 2))],
    (Words, {"n": 1}), (Words, {"n": 1, "inner": 1, "more": 2}), (Words, {"n": "1", "inner": 1}),
    (Any, "x" * 1_048_576), (Any, ["x" * 1000] * 1100), (str, "\n" * 600_000),
]  # fmt: skip

CALLS: dict[str, tuple[str, Callable[[Tasks], NewJob]]] = {
    "nothing": ("$.a: is missing", lambda t: t.call.job()),
    "too few": ("$.b: is missing", lambda t: t.call.job(1)),
    "too many": ("$[2]: takes 2 positional", lambda t: t.call.job(1, 2, 3)),
    "twice": ("$.b: is given twice", lambda t: t.call.job(1, 2, b=3)),
    "unknown": ("$.d: is not a parameter", lambda t: t.call.job(1, 2, d=3)),
    "nearly": ('did you mean "c"', lambda t: t.call.job(1, 2, cc=3)),
    "positional-only": ("it is positional-only", lambda t: t.call.job(a=1, b=2)),
    "the job": ("$.job: is not a parameter", lambda t: t.call.job(1, 2, job=None)),
    "wrong type by keyword": ("$.c: expected int", lambda t: t.call.job(1, 2, c="3")),
    "by name, missing": ("is missing", lambda t: t.app.job("call", {"a": 1})),
    "by name, unknown": ("is unexpected", lambda t: t.app.job("call", {"a": 1, "b": 2, "d": 3})),
    "by name, wrong": ("$.a", lambda t: t.app.job("call", {"a": "1", "b": 2})),
    "by name, a list": ("args must be a mapping", lambda t: t.client.job("x", [1])),  # type: ignore[arg-type]
    "by name, a text": ("args must be a mapping", lambda t: t.client.job("x", "{}")),  # type: ignore[arg-type]
    "by name, a key": ('$[', lambda t: t.client.job("x", {1: 1})),  # type: ignore[dict-item]
    "by name, large": ("the limit is", lambda t: t.client.job("x", {"a": "x" * 2_000_000})),
}  # fmt: skip

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OPTIONS: dict[str, list[Any]] = {
    "priority": [-1, 10, 2**70, "5", 5.0, True, math.nan, [5]],
    "max_attempts": [0, -1, 10**9, "3", 3.0, True, math.inf],
    "delay": [-1, -0.1, math.nan, math.inf, 1e30, 10**400, "1", True, timedelta(-1), timedelta.max],
    "run_at": [datetime(2030, 1, 1), "2030-01-01", 0, date(2030, 1, 1), math.nan,
               datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
               datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))],
    "timeout": [0, -1, 0.0001, math.nan, math.inf, "1", True, timedelta(0), [1]],
    "queue": ["", 7, "a\0b", "\ud800", "x" * 101, "ж" * 51, "a\nb", "\x7f", b"q", ["q"]],
    "unique_key": ["", 7, "a\0b", "\udfff", "x" * 501, b"k", ("k",), math.nan],
    "tags": ["abc", 5, [1], [None], [""], ["a\0"], ["\ud800"], ["x" * 201], ["t"] * 101, [b"t"],
             [["t"]]],
    "metadata": [[1], "x", 5, {"a": math.nan}, {"a": b""}, {"a": "\0"}, {"a": "\ud800"}, {1: 2},
                 {"a\0": 1}, {"a": object()}, {"a": (1,)}, {"a": "x" * 70_000}, _ring("dict"),
                 {"a": _deep(100_000, lambda inner: [inner])}, {"a": 10**4300}],
}  # fmt: skip
OTHERS: dict[str, tuple[str, Callable[[Tasks], NewJob]]] = {
    "delay and run_at": (
        "delay or run_at", lambda t: t.client.job("x", delay=1, run_at=NOW),
    ),
    "an unknown option": (
        'did you mean "priority"', lambda t: t.client.job("x", priorty=1),  # type: ignore[call-arg]
    ),
    "no task": ("task name", lambda t: t.client.job("")),
    "a task of NUL": ("task name", lambda t: t.client.job("a\0")),
    "a task of surrogates": ("task name", lambda t: t.client.job("\ud800")),
    "a task of lines": ("task name", lambda t: t.client.job("a\nb")),
    "a long task": ("task name", lambda t: t.client.job("x" * 201)),
    "a task that is none": ("task name", lambda t: t.client.job(None)),  # type: ignore[arg-type]
}  # fmt: skip


_SAID: dict[str, tuple[str, Any]] = {
    "tags": ("tag", ConfigError),
    "metadata": ("", (ConfigError, PayloadError)),
}


def _put(put: Callable[[Tasks, Any], NewJob], make: Callable[[], Any], tasks: Tasks) -> NewJob:
    return put(tasks, make())


def _typed(kind: Any, value: Any, tasks: Tasks) -> NewJob:
    return tasks.of(kind).job(value)


def _optional(way: str, name: str, value: Any, tasks: Tasks) -> NewJob:
    match way:
        case "using":
            return tasks.any_of.using(**{name: value}).job(1)
        case "by name":
            return tasks.client.job("x", {}, **{name: value})  # type: ignore[misc]
        case _:
            return tasks.plain.job(1).using(**{name: value})  # type: ignore[misc]


def _bad() -> list[Bad]:
    bad = [
        Bad(f"{value} in {place}", functools.partial(_put, put, make), path)
        for (place, (path, put)), (value, make) in itertools.product(PLACES.items(), VALUES.items())
    ]
    bad += [
        Bad(f"{value!a:.40} as {kind} ({n})", functools.partial(_typed, kind, value), "$")
        for n, (kind, value) in enumerate(WRONG)
    ]
    bad += [Bad(f"a call with {name}", make, says) for name, (says, make) in CALLS.items()]
    bad += [
        Bad(
            f"{name} {n} {way}",
            functools.partial(_optional, way, name, value),
            *_SAID.get(name, (name, ConfigError)),
        )
        for way in ("using", "by name", "of a job value")
        for name, values in OPTIONS.items()
        for n, value in enumerate(values)
    ]
    bad += [Bad(name, make, says, ConfigError) for name, (says, make) in OTHERS.items()]
    return bad


BAD = _bad()
