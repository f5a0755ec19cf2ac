"""Recording a failure cannot fail, whatever the error is like, and is quick."""

from __future__ import annotations

import json
import re
import sys
from types import TracebackType
from typing import Any

import pytest

from pgqueue.errors import LeaseLost
from pgqueue.failure import Failure, clean, describe

LONGEST = 200 + 2_000 + 8_000 + 500


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Exiting(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class NotText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307


class Text(str):
    def __str__(self) -> str:
        raise RuntimeError

    def __len__(self) -> int:
        return -1  # noqa: PLE0303


class OddText(Exception):
    def __str__(self) -> str:
        return Text("odd")


class Causeless(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no cause")


class Meta(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no module")


class Rootless(Exception, metaclass=Meta):
    pass


class Selfish(Exception):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


def ring() -> Exception:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def chain(length: int) -> Exception:
    error = ValueError("0")
    for n in range(1, length):
        outer = ValueError(str(n))
        outer.__context__ = error
        error = outer
    return error


def own_cause() -> Exception:
    error = ValueError("mine")
    error.__cause__ = error
    return error


def nested(depth: int) -> BaseException:
    error: Exception = ValueError("inmost")
    for _ in range(depth):
        error = ExceptionGroup("group", [error])
    return error


def deep() -> Exception:
    def down(n: int) -> None:
        if n == 0:
            raise ValueError("the bottom")
        down(n - 1)

    try:
        down(700)
    except ValueError as exc:
        return exc
    raise AssertionError


CORPUS: dict[str, Any] = {
    "plain": lambda: ValueError("no"),
    "empty": lambda: ValueError(),
    "nul": lambda: ValueError("a\0b"),
    "surrogate": lambda: ValueError("a\ud800b\udfff"),
    "control": lambda: ValueError("\x01\x1b[31m\u2028\U0010ffff"),
    "bytes": lambda: ValueError(b"\xff\0"),
    "unprintable": lambda: Unprintable(),
    "exiting": lambda: Exiting(),
    "not text": lambda: NotText(),
    "odd text": lambda: OddText(),
    "causeless": lambda: Causeless("x"),
    "rootless": lambda: Rootless("x"),
    "selfish": lambda: Selfish("x"),
    "ring": ring,
    "own cause": own_cause,
    "long chain": lambda: chain(50_000),
    "wide group": lambda: ExceptionGroup("many", [ValueError(str(n)) for n in range(100_000)]),
    "deep group": lambda: nested(10_000),
    "deep stack": deep,
    "huge": lambda: ValueError("x" * 50_000_000),
    "huge nul": lambda: ValueError("\0" * 50_000_000),
    "huge in group": lambda: ExceptionGroup("g", [ValueError("y" * 50_000_000)] * 10),
    "huge type": lambda: type("E" * 100_000, (Exception,), {})("x"),
    "huge args": lambda: KeyError(*["k" * 1000] * 1000),
    "exit": lambda: SystemExit(1),
    "interrupt": lambda: KeyboardInterrupt(),
    "syntax": lambda: SyntaxError("bad", ("f\0", 1, 1, "x\0", 1, 1)),
}


@pytest.mark.past_bug(98)
@pytest.mark.parametrize("name", CORPUS)
def test_any_error_can_be_described_and_stored(name: str) -> None:
    error = CORPUS[name]()
    for failure in (describe(error), describe(error).plain(), describe(error).constant()):
        entry = failure.entry(attempt=1, worker="host:1")
        assert len(entry) < LONGEST * 6
        again = json.loads(entry)
        assert again["type"] == failure.type
        for text in again.values():
            assert "\0" not in str(text)
            str(text).encode("utf-8")


MANY = range(100_000)
HUGE: dict[str, Any] = {
    "list": list(MANY),
    "dict": dict.fromkeys(MANY, 1),
    "set": set(MANY),
    "dict of dicts": {n: dict.fromkeys(range(300), 1) for n in range(300)},
    "dict in lists": [[{"a": dict.fromkeys(MANY, 1)}]],
    "keys of many items": {tuple(range(n, n + 30)): n for n in range(3_000)},
    "set of tuples": {(n, n) for n in MANY},
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize(
    "make",
    [
        ValueError,
        KeyError,
        lambda value: OSError(2, value, "x"),
        lambda value: ValueError(1, value),
    ],
    ids=["text", "key", "system", "second"],
)
def test_an_error_with_a_huge_argument_keeps_its_text(name: str, make: Any) -> None:
    """One with more items than are shown, wherever they end."""
    failure = describe(make(HUGE[name]))
    assert "could not be had" not in failure.message
    assert "characters cut" in failure.message
    assert len(failure.message) < 2_100
    assert failure.type in ("ValueError", "KeyError", "FileNotFoundError")


def test_what_is_said_of_an_ordinary_error() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as exc:
            raise ValueError("outer") from exc
    except ValueError as exc:
        failure = describe(exc)
    assert (failure.type, failure.message) == ("ValueError", "outer")
    inner, outer = failure.traceback.split("\nwhich was the direct cause of:\n\n")
    assert inner.endswith("KeyError: 'inner'\n")
    assert 'raise ValueError("outer") from exc' in outer
    assert outer.endswith("ValueError: outer\n")


def test_the_members_of_a_group_are_named() -> None:
    error = ExceptionGroup("several", [ValueError("one"), KeyError("two")])
    text = describe(error).traceback
    assert "in the group: ValueError: one" in text
    assert "in the group: KeyError: 'two'" in text


def test_a_type_is_named_with_its_module() -> None:
    assert describe(json.JSONDecodeError("x", "", 0)).type == "json.decoder.JSONDecodeError"


@pytest.mark.parametrize("size", [9, 10, 11, 1000])
def test_the_middle_is_cut(size: int) -> None:
    text = clean("ab" * (size // 2) + "z" * (size % 2), 10)
    if size <= 10:
        assert len(text) == size
    else:
        assert f"{size - 10} characters cut" in text
        assert len(text) < 50


def test_a_failure_in_printable_ascii() -> None:
    plain = Failure("É", "a\tb\nc\x7f", "ok").plain()
    assert plain == Failure("?", "a?b\nc?", "ok")


def below(*modules: str) -> TracebackType | None:
    """A traceback with a frame of each of these modules."""
    trace = None
    for module in reversed(modules):
        scope: dict[str, Any] = {"__name__": module, "sys": sys}
        exec(compile("frame = sys._getframe()", f"<{module}>", "exec"), scope)
        frame = scope["frame"]
        trace = TracebackType(trace, frame, frame.f_lasti, 1)
    return trace


RUNS, JOINS = "pgqueue.worker.run.attempt", "pgqueue.batch.gather"
POOL, TRANSACTION = "pgqueue.worker.children.pool", "pgqueue.worker.run.transaction"


@pytest.mark.parametrize(
    ("error", "frames", "shown"),
    [
        (ValueError, [RUNS, "shop"], ["shop"]),
        (ValueError, [RUNS, JOINS, JOINS, "shop", "json"], ["shop", "json"]),
        (ValueError, ["pgqueue.worker.child_process", "asyncio.runners", "shop"], ["shop"]),
        (LeaseLost, [RUNS, "shop", TRANSACTION], ["shop", TRANSACTION]),
        (ValueError, [RUNS, JOINS], []),  # handed to Batch.fail(), and raised nowhere
        (MemoryError, [RUNS, POOL], []),
        (LeaseLost, [RUNS], []),
        (ValueError, ["shop", "asyncio.tasks"], ["shop", "asyncio.tasks"]),
        (AttributeError, [RUNS, RUNS], [RUNS]),  # a defect of ours: somebody has to find it
    ],
)
def test_a_traceback_begins_with_the_handler(
    error: type[Exception], frames: list[str], shown: list[str]
) -> None:
    text = describe(error("what happened").with_traceback(below(*frames))).traceback
    assert re.findall(r'File "<(.*)>"', text) == shown
    assert text.endswith(f"{error.__name__}: what happened\n")
