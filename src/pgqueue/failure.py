"""One failed attempt as a value that can always be stored: sanitised, bounded, never raising."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass, replace
from types import TracebackType

__all__ = ["Failure", "clean", "describe"]

_MESSAGE = 2_000
_TRACEBACK = 8_000
_FRAMES = 25
_CAUSES = 5


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
    """Describe an error, whatever its ``__str__``, causes or groups are like."""
    return Failure(_type(error), _message(error), _traceback(error))


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
        return clean(str.__str__(str(error)), _MESSAGE)
    except BaseException as odd:
        return f"(its text could not be had: {type(odd).__name__})"


def _is_ours(trace: TracebackType) -> bool:
    name: object = trace.tb_frame.f_globals.get("__name__", "")
    return isinstance(name, str) and name.startswith("pgqueue.worker.")


def _frames(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None and _is_ours(trace):
        trace = trace.tb_next
    return "".join(traceback.format_tb(trace, limit=-_FRAMES))


def _traceback(error: BaseException) -> str:
    """Format by hand: the standard formatter follows chains and groups without bound."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    link = ""
    try:
        while current is not None and id(current) not in seen and len(seen) < _CAUSES:
            seen.add(id(current))
            parts.append(f"{_frames(current.__traceback__)}{_type(current)}: {_message(current)}\n")
            if isinstance(current, BaseExceptionGroup):
                for inner in current.exceptions[:_CAUSES]:  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                    parts[-1] += f"  in the group: {_type(inner)}: {_message(inner)}\n"  # pyright: ignore[reportUnknownArgumentType]
            if current.__cause__ is not None:
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
