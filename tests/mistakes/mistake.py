"""One mistake: what a newcomer writes, what is said, why, and what to do instead."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

__all__ = ["PRELUDE", "Mistake", "matches", "said_by"]

PRELUDE = """
import asyncio, os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pgqueue
from pgqueue import App, Backoff, Client, RunningJob, Worker, current_job

app = App()

@app.task(queue="mail")
def send(user_id: int, lang: str = "en") -> None: ...
"""
"""What stands before each mistake."""

_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """``says``: what the user sees, in full; ``...`` stands for what differs from time to time.

    ``code``: Python behind PRELUDE, or the file ``jobs.py`` where there is a ``command``.
    ``job``: the task whose attempt fails with this message. ``command``: lines for the shell; one
    line of their output is the message.
    """

    says: str
    cause: str
    remedy: str
    code: str = ""
    job: str = ""
    command: str = ""


def matches(says: str, text: str) -> bool:
    """True if the text is what the row says, with anything for each ``...``."""
    return re.fullmatch(re.escape(says).replace(r"\.\.\.", ".*"), text, re.DOTALL) is not None


def said_by(mistake: Mistake, home: Path, environment: Mapping[str, str]) -> list[str]:
    """The messages that a mistake leads to."""
    if mistake.command:
        return _in_shell(mistake, home, environment)
    return [_in_python(mistake)]


def _in_shell(mistake: Mistake, home: Path, environment: Mapping[str, str]) -> list[str]:
    (home / "jobs.py").write_text(mistake.code or "from pgqueue import App\napp = App()\n")
    said: list[str] = []
    for line in mistake.command.splitlines():
        _, *words = shlex.split(line)
        done = subprocess.run(
            [sys.executable, "-m", "pgqueue", *words],
            cwd=home,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        said += done.stdout.splitlines()
    return said


def _in_python(mistake: Mistake) -> str:
    names: dict[str, Any] = {"__name__": "jobs"}
    exec(compile(PRELUDE, "prelude", "exec"), names)
    with contextlib.closing(names["app"]):
        try:
            _run(mistake.code, names)
            if not mistake.job:
                return "(nothing)"
            names[mistake.job].enqueue()
            done = names["app"].run_until_idle_sync()
            error = done.failures[0].error
        except Exception as exc:
            error = exc
        return f"{type(error).__name__}: {error}"


def _run(code: str, names: dict[str, Any]) -> None:
    """Run code that may have an ``await`` at its top."""
    compiled = compile(code, "jobs.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(FunctionType(compiled, names)())
    else:
        exec(compiled, names)
