"""The pages of docs/guide as programs: their blocks, run in order against a real server.

- A block of ``python`` or of any other language with a first line ``# name`` (``-- name``) is
  written to that file; any other ``python`` is run.
- ``sh`` is run by bash, which stops at the first command that fails.
- ``text`` is what the block before it prints: its lines are in the output, in their order. ``...``
  stands for anything. Where its last line is an error (``pgqueue: ...``), the block has to fail.
- A fence without a language is not run.

`start.md` is run by `new_user.py`, in two terminals. There, ``sh`` and ``text`` may begin with
``# second terminal``: such a text is what that one shows, whoever was the cause.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "PAGES",
    "SECOND",
    "Block",
    "blocks_of",
    "files_of",
    "missing_lines",
    "run_page",
    "runs_beside",
]

SECOND = "# second terminal"
# `guarantees.md` has no blocks. Those of `security.md` are run by tests/security, the mistakes of
# `errors.md` by tests/mistakes, and `start.md` is followed in two terminals.
_ELSEWHERE = {"errors.md", "guarantees.md", "security.md", "start.md"}
_GUIDE = Path(__file__).parents[2] / "docs" / "guide"
PAGES = sorted(page for page in _GUIDE.rglob("*.md") if page.name not in _ELSEWHERE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ((?:\w+/)*\w+\.py)\n")
_OTHER_FILE = re.compile(r"(?:#|--) ([\w./-]+)\n")
_SECONDS = 120
_BESIDE = re.compile(r"[^&>]&\s*$|\bkill\b|\bPopen\b", re.MULTILINE)


class Block(NamedTuple):
    """``line``: where it begins in its page."""

    line: int
    language: str
    text: str
    printed: str

    @property
    def file(self) -> str | None:
        """The file that it is written to; None if it is run."""
        if self.language in ("sh", "text"):
            return None
        named = (_FILE if self.language == "python" else _OTHER_FILE).match(self.text)
        return named and named[1]

    @property
    def fails(self) -> bool:
        """True if what it prints ends with an error."""
        return self.printed.startswith("pgqueue: ") or "\npgqueue: " in self.printed


def blocks_of(page: str) -> list[Block]:
    """The blocks to run, each with what it has to print."""
    found: list[Block] = []
    for match in _BLOCK.finditer(page):
        language, text = match.groups()
        if language == "text" and not text.startswith(SECOND):
            found[-1] = found[-1]._replace(printed=text)
        else:
            found.append(Block(page.count("\n", 0, match.start()) + 1, language, text, ""))
    return found


def runs_beside(page: str) -> bool:
    """True if a block starts a process and goes on beside it, or sends a signal."""
    return any(block.file is None and _BESIDE.search(block.text) for block in blocks_of(page))


def files_of(page: str) -> dict[str, str]:
    """The files that a page shows, by name."""
    return {block.file: block.text for block in blocks_of(page) if block.file is not None}


def missing_lines(printed: str, output: str) -> list[str]:
    """The lines that the output does not have, or not behind the ones before."""
    missing: list[str] = []
    at = 0
    for line in printed.splitlines():
        match = re.compile(re.escape(line).replace(re.escape("..."), ".*")).search(output, at)
        if match is None:
            missing.append(line)
        else:
            at = match.end()
    return missing


def run_page(page: Path, home: Path, environment: Mapping[str, str]) -> None:
    """Run a page's blocks in this directory."""
    for block in blocks_of(page.read_text()):
        where = f"{page.name}:{block.line}"
        if block.file is not None:
            file = home / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
            continue
        command = {
            "python": [sys.executable, "-c", block.text],
            "sh": ["bash", "-euo", "pipefail", "-c", block.text],
        }[block.language]
        done = subprocess.run(
            command,
            cwd=home,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert bool(done.returncode) == block.fails, f"{where}: {done.returncode}\n{done.stdout}"
        lost = missing_lines(block.printed, done.stdout)
        assert not lost, f"{where}: not printed: {lost}\n{done.stdout}"
