"""What a task can do to whoever records its end: texts times places, odd objects, odd shapes."""

from __future__ import annotations

import asyncio
import functools
import itertools
import linecache
import math
import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from pgqueue import Discard, Retry, Snooze
from tests.corpus.texts import GIANTS, TEXTS

__all__ = ["CASES", "Case"]

Act = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """``act`` raises or returns; ``ends``: the state that its job comes to."""

    name: str
    act: Act
    thread: bool = False
    ends: str = "dead"


def raises(error: BaseException) -> Any:
    raise error


# -- a text, and where it turns up


def _noted(text: str) -> Any:
    error = ValueError("noted")
    if type(text) is str:
        error.add_note(text)
    else:
        error.__notes__ = [text, 7, None]  # type: ignore[attr-defined]
    raise error


def _caused(text: str) -> Any:
    raise ValueError("outer") from KeyError(text)


def _in_context(text: str) -> Any:
    try:
        raise LookupError(text)
    except LookupError:
        raise ValueError(text)  # noqa: B904


def _named(text: str, where: str) -> Any:
    kind = type("Odd", (Exception,), {})
    try:
        setattr(kind, where, text)
    except TypeError:
        setattr(kind, where, str.__str__(text))
    raise kind("odd")


def _own_text(text: str, method: str) -> Any:
    kind = type("Odd", (Exception,), {method: lambda self: text})
    raise kind


def _fail() -> Any:
    raise ValueError("from odd code")


def _in_code(text: str, where: str) -> Any:
    code = _fail.__code__.replace(**{where: str.__str__(text)})
    return FunctionType(code, {**globals(), "__name__": text})()


_FILES = itertools.count()


def _in_source(text: str) -> Any:
    n = next(_FILES)
    # A line is looked up while its error is described; much later it is of no use.
    linecache.cache.pop(f"<corpus {n - 50}>", None)
    file = f"<corpus {n}>"
    linecache.cache[file] = (1, None, [f"raise ValueError('line')  # {text!s:.200000}\n"], file)
    exec(compile("raise ValueError('line')", file, "exec"), {})


PLACES: dict[str, Callable[[Any], Any]] = {
    "message": lambda t: raises(ValueError(t)),
    "arguments": lambda t: raises(RuntimeError(t, {t: [t]}, 7)),
    "note": _noted,
    "cause": _caused,
    "context": _in_context,
    "group": lambda t: raises(ExceptionGroup(str.__str__(t), [ValueError(t), OSError(t)])),
    "rude group": lambda t: raises(
        BaseExceptionGroup("rude", [KeyboardInterrupt(t), ValueError(t)])
    ),
    "class name": lambda t: _named(t, "__qualname__"),
    "module name": lambda t: _named(t, "__module__"),
    "key": lambda t: raises(KeyError(t)),
    "file of an OSError": lambda t: raises(OSError(2, t, t)),
    "file of a SyntaxError": lambda t: raises(SyntaxError(t, (t, 1, 1, t))),
    "object of a codec": lambda t: raises(UnicodeEncodeError("utf-8", t, 0, 1, "no")),
    "__str__": lambda t: _own_text(t, "__str__"),
    "__repr__": lambda t: _own_text(t, "__repr__"),
    "exit code": lambda t: raises(SystemExit(t)),
    "reason of Discard": lambda t: raises(Discard(t)),
    "reason of Retry": lambda t: raises(Retry(t)),
    "name of a function": lambda t: _in_code(t, "co_name"),
    "name of a file": lambda t: _in_code(t, "co_filename"),
    "line of source": _in_source,
    "cancelled": lambda t: raises(asyncio.CancelledError(t)),
}

GIANT_PLACES = ("message", "arguments", "note", "cause", "group", "__str__", "key")


# -- objects


def _raising(error: Callable[[], BaseException]) -> Callable[..., Any]:
    def method(*_: Any, **__: Any) -> Any:
        raise error()

    return method


def odd(base: type[BaseException] = Exception, **members: Any) -> Callable[[], BaseException]:
    return type("Odd", (base,), members)


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise SystemExit(2)
        return super().__getattribute__(name)

    def __instancecheck__(cls, _: object) -> bool:
        raise KeyboardInterrupt

    __subclasscheck__ = __eq__ = __hash__ = __instancecheck__  # type: ignore[assignment]


class Nameless(Exception, metaclass=Meta):
    pass


class Everything(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(f"not even {name}")


class Bomb:
    def __str__(self) -> str:
        raise MemoryError

    __repr__ = __format__ = __str__

    def __eq__(self, other: object) -> bool:
        raise KeyboardInterrupt

    def __reduce__(self) -> Any:
        raise RuntimeError("not to be pickled")

    __hash__ = None  # type: ignore[assignment]


def _slowly(self: object) -> str:
    return str(sum(range(200_000)))


def _deeply(self: object) -> str:
    return _deeply(self)


def _with(error: BaseException, **attributes: Any) -> BaseException:
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


ERRORS = (Exception, RuntimeError, SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit)
OBJECTS: dict[str, Callable[[], BaseException]] = {
    **{
        f"{method} raises {error.__name__}": odd(**{method: _raising(error)})
        for method in ("__str__", "__repr__")
        for error in (*ERRORS, asyncio.CancelledError, RecursionError, StopIteration)
    },
    **{
        f"{method} raises": odd(**{method: _raising(SystemExit)})
        for method in (
            "__reduce__", "__reduce_ex__", "__getstate__", "__eq__", "__hash__", "__bool__",
            "__len__", "__format__", "with_traceback", "add_note",
        )
    },
    **{
        f"{name} raises": odd(**{name: property(_raising(KeyboardInterrupt))})
        for name in (
            "__cause__", "__context__", "__suppress_context__", "__traceback__", "__notes__",
            "__class__", "__dict__", "__module__", "__doc__", "args",
        )
    },
    **{
        f"{name} is a number": odd(**{name: property(lambda self: 7)})
        for name in (
            "__cause__", "__context__", "__suppress_context__", "__traceback__", "__class__",
            "args",
        )
    },
    "text is a number": odd(__str__=lambda self: 7),
    "text is slow": odd(__str__=_slowly),
    "text never ends": odd(__str__=_deeply),
    "text raises itself": odd(__str__=lambda self: raises(self)),
    "all attributes raise": Everything,
    "a class without a name": Nameless,
    "an argument that cannot be shown": lambda: ValueError(Bomb(), [Bomb()]),
    "a key that cannot be shown": lambda: KeyError(Bomb()),
    "not to be pickled": lambda: _with(ValueError("held"), held=threading.Lock(), gen=iter("x")),
    "a group whose members raise": lambda: type("Odd", (ExceptionGroup,), {
        "exceptions": property(_raising(SystemExit))})("g", [ValueError()]),
    "a group without end": lambda: type("Odd", (ExceptionGroup,), {
        "exceptions": property(lambda self: itertools.repeat(self))})("g", [ValueError()]),
    "an exit without a code": lambda: SystemExit(Bomb()),
    "half a Snooze": lambda: Snooze.__new__(Snooze),
    "half a Retry": lambda: Retry.__new__(Retry),
    "half a Discard": lambda: Discard.__new__(Discard),
    "Discard of an object": lambda: Discard(Bomb()),  # type: ignore[arg-type]
    "Retry of an object": lambda: Retry(Bomb()),  # type: ignore[arg-type]
    **{
        f"{kind.__name__} by {delay!r}": functools.partial(
            lambda kind, delay: _with(kind(delay=1.0), delay=delay), kind, delay
        )
        for kind in (Retry, Snooze)
        for delay in (math.nan, -math.inf, "soon", None, Bomb, 1j, [1])
    },
}  # fmt: skip


# -- shapes


def _cycle(link: str, length: int) -> BaseException:
    errors = [ValueError(f"number {n}") for n in range(length)]
    for n, error in enumerate(errors):
        setattr(error, link, errors[(n + 1) % length])
    return errors[0]


def _chain(link: str, length: int) -> BaseException:
    error: BaseException = ValueError("innermost")
    for n in range(length):
        error = _with(ValueError(f"number {n}"), **{link: error})
    return error


def _nested(depth: int) -> BaseException:
    error: Exception = ValueError("innermost")
    for n in range(depth):
        error = ExceptionGroup(f"group {n}", [error])
    return error


def _around() -> BaseException:
    inner = ValueError("inner")
    group = ExceptionGroup("group", [inner])
    inner.__cause__, group.__context__ = group, inner
    return group


def _deep_stack(depth: int) -> Any:
    if depth == 0:
        raise ValueError("at the bottom")
    return _deep_stack(depth - 1)


def _never_ending() -> Any:
    return _never_ending()


def _local() -> Any:
    bomb = Bomb()
    raise ValueError("with an odd local", id(bomb))


SHARED = ValueError("raised by all")

SHAPES: dict[str, Act] = {
    **{
        f"{link} in a ring of {n}": functools.partial(lambda k, n: raises(_cycle(k, n)), link, n)
        for link in ("__cause__", "__context__")
        for n in (2, 3, 1_000)
    },
    **{
        f"{link} {n} deep": functools.partial(lambda k, n: raises(_chain(k, n)), link, n)
        for link in ("__cause__", "__context__")
        for n in (100, 100_000)
    },
    "a group of 100,000": lambda: raises(
        ExceptionGroup("many", [ValueError(str(n)) for n in range(100_000)])
    ),
    "groups in groups": lambda: raises(_nested(900)),
    "a group around itself": lambda: raises(_around()),
    "a deep stack": lambda: _deep_stack(min(800, sys.getrecursionlimit() // 2)),
    "a stack without end": _never_ending,
    "an odd local": _local,
    "one error of many jobs": lambda: raises(SHARED),
    "one error of many jobs again": lambda: raises(SHARED),
    "no traceback": lambda: raises(ValueError("bare").with_traceback(None)),
    **{
        f"{error.__name__}": functools.partial(lambda e: raises(e("rude")), error)
        for error in (
            *ERRORS, asyncio.CancelledError, asyncio.InvalidStateError, TimeoutError, StopIteration,
            StopAsyncIteration, BaseException, NotImplementedError, RecursionError, Warning,
        )
    },
}  # fmt: skip

RESULTS: dict[str, Any] = {
    "an object": Bomb,
    "a class": lambda: Bomb,
    "an error": lambda: ValueError("returned"),
    "not a number": lambda: math.nan,
    "a generator": lambda: (n for n in range(3)),
    "a lock": threading.Lock,
    "itself": lambda: (lambda ring: ring.append(ring) or ring)([]),
    "a number of 10,000 digits": lambda: 10**10_000,
    "a function": lambda: lambda: 1,
    "bytes": lambda: b"\0\xff",
    "a deep list": lambda: functools.reduce(lambda inner, _: [inner], range(100_000), []),
}


def _cases() -> list[Case]:
    cases = [
        Case(f"{text} as {place}", lambda make=make, put=put: put(make()))
        for (place, put), (text, make) in itertools.product(PLACES.items(), TEXTS.items())
        # An encoder's error has an object with something in it.
        if (place, text) != ("object of a codec", "empty")
    ]
    cases += [
        Case(f"{text} as {place}", lambda make=make, put=PLACES[place]: put(make()))
        for place, (text, make) in itertools.product(GIANT_PLACES, GIANTS.items())
    ]
    for thread in (False, True):
        side = "in a thread" if thread else "on the loop"
        for name, make in OBJECTS.items():
            cases.append(Case(f"{name}, {side}", lambda make=make: raises(make()), thread))
        for name, act in SHAPES.items():
            cases.append(Case(f"{name}, {side}", act, thread))
        for name, make in {**RESULTS, **TEXTS}.items():
            cases.append(Case(f"returns {name}, {side}", make, thread, ends="completed"))
    cases.append(Case("returns a class without a name", lambda: Nameless, ends="completed"))
    for name, make in OBJECTS.items():
        cases.append(
            Case(
                f"{name}, as a cause", lambda make=make: raises(_with(OSError(), __cause__=make()))
            )
        )
        cases.append(
            Case(f"{name}, in a group", lambda make=make: raises(BaseExceptionGroup("g", [make()])))
        )
    return cases


CASES = _cases()
# What takes long to make or to show is not to stand side by side.
random.Random(37).shuffle(CASES)
