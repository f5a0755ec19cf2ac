"""What is said of a module that cannot be imported: the cause, and the line of the user's file."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Sequence

__all__ = ["OURS", "describe_failure", "user_frame"]

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def describe_failure(name: str, error: BaseException) -> str:
    """Return one line: the module, the error, and where in the user's code it came from."""
    said = str(error)
    if isinstance(error, SyntaxError):
        where = f" ({error.filename}, line {error.lineno}{_source(error.text)})"
        said = error.msg or said
    else:
        frame = user_frame(traceback.extract_tb(error.__traceback__), _libraries())
        where = (
            ""
            if frame is None
            else f" ({frame.filename}, line {frame.lineno}{_source(frame.line)})"
        )
    return f'module "{name}" cannot be imported: {type(error).__name__}: {said}{where}'


def user_frame(
    frames: Sequence[traceback.FrameSummary], libraries: Sequence[str]
) -> traceback.FrameSummary | None:
    """Return the innermost frame that is neither Python's, nor ours, nor a library's.

    Where there is none, the innermost frame that is not of the import itself.
    """
    shown = [frame for frame in frames if not frame.filename.startswith(("<frozen ", OURS))]
    own = [frame for frame in shown if not frame.filename.startswith(tuple(libraries))]
    rest = [
        frame for frame in shown if os.path.basename(os.path.dirname(frame.filename)) != "importlib"
    ]
    return (own or rest or [None])[-1]


def _libraries() -> list[str]:
    """Return the directories of Python's own modules and of what was installed."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [sysconfig.get_path(name) for name in names]
    return [os.path.join(path, "") for path in dict.fromkeys(found) if path]


def _source(line: str | None) -> str:
    """Return a line of code as it is shown behind its number."""
    text = (line or "").strip()
    return f": {text[:80]}{'…' if len(text) > 80 else ''}" if text else ""
