"""One failed attempt as a value that can always be stored: sanitised, bounded, never raising."""

from __future__ import annotations

import json
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, cast

from pgqueue.errors import PgQueueError, Retry, Snooze
from pgqueue.groups import leaves

__all__ = ["MISFIT", "Failure", "clean", "describe"]

MISFIT = "ArgumentsDoNotFit"
"""The type of the entry that a worker leaves whose version of the task takes other arguments."""

_MESSAGE = 2_000
_TRACEBACK = 8_000
_FRAMES = 25
_CAUSES = 5
_ITEMS = 2_000
_PART = 400
_PATH = 4_096
# Frames of these stand above those of a handler.
_RUNS_HANDLERS = (
    "pgqueue.worker.", "pgqueue.batch.", "pgqueue.around", "pgqueue.hooks.", "asyncio.",
)  # fmt: skip
# And these raise what a process has died of, or what a batch says of one of its jobs.
_HANDS_ON = ("pgqueue.batch.gather", "pgqueue.worker.children.pool", "pgqueue.worker.run.in_child")
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)
_BY_REPR = (BaseException.__str__, KeyError.__str__, OSError.__str__)
_args: Callable[[BaseException], tuple[Any, ...]] = BaseException.args.__get__  # type: ignore[attr-defined]


def clean(text: str, longest: int) -> str:
    """Return text that jsonb can hold: no NUL, no lone surrogate, the middle cut where too long."""
    if len(text) > longest:
        half = longest // 2
        text = f"{text[:half]} … {len(text) - 2 * half} characters cut … {text[-half:]}"
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Failure:
    """Type, message and traceback of an attempt's error."""

    type: str
    message: str
    traceback: str

    def entry(self, *, attempt: int, worker: str) -> str:
        """Return the JSON object that joins the job's error history; the database adds the time."""
        return json.dumps(
            {
                "attempt": attempt,
                "worker": worker,
                "type": self.type,
                "message": self.message,
                "traceback": self.traceback,
            }
        )

    def plain(self) -> Failure:
        """Return the same in printable ASCII, for a database that cannot store the rest."""

        def ascii_only(text: str) -> str:
            return "".join(
                c if c == "\n" or " " <= c <= "~" else "?" for c in text[: _TRACEBACK * 2]
            )

        return replace(
            self,
            type=ascii_only(self.type),
            message=ascii_only(self.message),
            traceback=ascii_only(self.traceback),
        )

    def constant(self) -> Failure:
        """Return what is stored when not even the plain text could be."""
        return Failure("Error", "the error could not be stored", "")


def describe(error: BaseException) -> Failure:
    """Describe an error, whatever its ``__str__``, causes or groups are like.

    Of a group, the first error in it is described that is no wish to be run again.
    """
    found = leaves(error)
    first = next((one for one in found if not issubclass(type(one), (Retry, Snooze))), found[0])
    kind, message = _type(first), _message(first)
    if len(found) > 1:
        message = f"{message} (and {len(found) - 1} more in its group)"
    return Failure(kind, message, _traceback(error, first))


def _type(error: BaseException) -> str:
    kind = type(error)
    try:
        module = kind.__module__
        name = kind.__qualname__
        return clean(name if module in ("builtins", "__main__") else f"{module}.{name}", 200)
    except Exception:  # a metaclass may make anything of them
        return "Exception"


def _message(error: BaseException) -> str:
    try:
        return clean(str.__str__(_text(error)), _MESSAGE)
    except BaseException as odd:
        return f"(its text could not be had: {type(odd).__name__})"


def _text(error: BaseException) -> str:
    """What str() says, with long arguments cut first where Python's own classes show them by repr.

    That takes seconds for some megabytes, and yields several times as many.
    """
    shows = type(error).__str__
    if shows not in _BY_REPR:
        return str(error)
    cutter = _Cutter()
    if shows is OSError.__str__ and isinstance(error, OSError) and error.errno is not None:
        number, says, file = map(cutter.cut, (error.errno, error.strerror, error.filename))
        where = "" if file is None else f": {file!r}"
        return f"[Errno {number}] {says}{where}" if cutter.has_cut else str(error)
    args = _args(error)
    if shows is not KeyError.__str__ and len(args) == 1 and type(args[0]) is str:
        return args[0]
    args = cutter.cut(args)
    if not cutter.has_cut:
        return str(error)
    return str((KeyError if shows is KeyError.__str__ else BaseException)(*args))


class _Cutter:
    """Cuts the middle of long texts, and items beyond so many, out of Python's own containers."""

    def __init__(self) -> None:
        self.has_cut = False
        self._items = _ITEMS

    def cut(self, value: Any, depth: int = 4) -> Any:
        kind = cast("Any", type(value))
        if kind is str or kind is bytes or kind is bytearray:
            if len(value) <= 2 * _MESSAGE:
                return value
            self.has_cut = True
            mark = f" … {len(value) - 2 * _PART} cut … "
            middle = mark if kind is str else mark.encode("ascii", "replace")
            return value[:_PART] + middle + value[-_PART:]
        if not depth or not any(kind is one for one in _CONTAINERS):  # == may be the user's
            return value
        kept: list[Any] = []
        items: Iterable[Any] = value.items() if kind is dict else value
        for item in items:
            if not self._items:
                self.has_cut = True
                break
            self._items -= 1
            if kind is dict:  # a pair stays one, also where the last item was counted
                kept.append(tuple(self.cut(part, depth - 1) for part in item))
            else:
                kept.append(self.cut(item, depth - 1))
        return cast("Any", kind(kept))


def _module(trace: TracebackType) -> str:
    name: object = trace.tb_frame.f_globals.get("__name__", "")
    return name if isinstance(name, str) else ""


def _of_users(error: BaseException) -> TracebackType | None:
    """Return its traceback from the first frame below those that run handlers.

    Where there is none, nobody needs ours: the message says what happened. What is ours and was not
    raised on purpose keeps its last frame.
    """
    trace = error.__traceback__
    while trace is not None and _module(trace).startswith(_RUNS_HANDLERS):
        if trace.tb_next is None:
            said = issubclass(type(error), PgQueueError) or _module(trace) in _HANDS_ON
            return None if said else trace
        trace = trace.tb_next
    return trace


def _frames(error: BaseException) -> str:
    trace = _of_users(error)
    last = deque(traceback.walk_tb(trace), maxlen=_FRAMES)
    if all(len(frame.f_code.co_filename) <= _PATH for frame, _ in last):
        return "".join(traceback.format_tb(trace, limit=-_FRAMES))
    # Code that was made at run time: nobody finds a file of such a name, and looking takes seconds.
    return "".join(
        f'  File "{clean(frame.f_code.co_filename, _PATH)}", line {line}, '
        f"in {clean(frame.f_code.co_name, _PATH)}\n"
        for frame, line in last
    )


def _traceback(error: BaseException, first: BaseException) -> str:
    """Format by hand: the standard formatter follows chains and groups without bound.

    ``first`` is the error itself, or of a group the one in it whose own traceback is shown.
    """
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    link = ""
    try:
        while current is not None and id(current) not in seen and len(seen) < _CAUSES:
            seen.add(id(current))
            parts.append(f"{_frames(current)}{_headline(current)}\n")
            if issubclass(type(current), BaseExceptionGroup):
                found = leaves(current)
                for inner in found[:_CAUSES]:
                    parts[-1] += f"  in the group: {_headline(inner)}\n"
                if len(found) > _CAUSES:
                    parts[-1] += f"  in the group: {len(found) - _CAUSES} more\n"
            if current is error is not first:
                current, link = first, "\nwhich was in a group:\n\n"
            elif current.__cause__ is not None:
                current, link = current.__cause__, "\nwhich was the direct cause of:\n\n"
            elif not current.__suppress_context__:
                current, link = current.__context__, "\nduring which there came:\n\n"
            else:
                current = None
            if current is not None and id(current) not in seen and len(seen) < _CAUSES:
                parts.append(link)
        return clean("".join(reversed(parts)), _TRACEBACK)
    except BaseException as odd:
        return f"(its traceback could not be had: {type(odd).__name__})"


def _headline(error: BaseException) -> str:
    return f"{_type(error)}: {_message(error)}"
