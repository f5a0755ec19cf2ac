"""What a new user does, with nothing but a clone and docs/guide/start.md.

``python -m tests.guide.new_user`` (``make new-user``) follows that page in an empty directory and
two terminals: it writes its files, types its commands, and looks for what the page says that they
print. It shows what a user sees, and how long each section took. It fails if something is not as
the page says, or if all but pip took longer than a minute.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.guide.page import SECOND, Block, blocks_of, missing_lines
from tests.guide.terminal import Terminal

__all__ = ["NewUser", "follow", "main", "untouched"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guide" / "start.md"
MOST_SECONDS = 60.0
_HANGS = 300.0  # seconds after which a command hangs, pip included
_SHOWS = 60.0  # seconds in which a screen shows what was done
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_INTERRUPTED = f"{SECOND}, after Ctrl-C"
# What the worker's log says may be written to the database a moment later: one looks again.
_LOOK = re.compile(r"(pgqueue (status|workers|\w+ (list|show)).*\n)+")
_PIP = re.compile(r"^pip install .*$", re.MULTILINE)


class NewUser:
    """Somebody in front of two terminals, who types what a page says and compares.

    ``install``: what is done with the directory in place of ``pip install``, without a network.
    """

    def __init__(
        self,
        home: Path,
        environment: Mapping[str, str],
        *,
        say: Callable[[str], object],
        install: Callable[[Path], object] | None = None,
    ) -> None:
        self._home = home
        self._say = say
        self._install = install
        scripts = [home.parent / name for name in ("first.sh", "second.sh")]
        self._first, self._second = (Terminal(home, environment, script) for script in scripts)
        self._place = 0  # in the second terminal, when something was done last

    def does(self, block: Block) -> None:
        """Do what one block says. AssertionError says what was not as the page has it."""
        if block.file is not None:
            self._say(f"writes {block.file}")
            (self._home / block.file).write_text(block.text)
        elif block.language == "text":
            self._sees(block.line, block.text.partition("\n")[2])
        elif block.text.startswith(SECOND):
            self._types_in_the_second(block)
        else:
            self._types(block)

    def _types(self, block: Block) -> None:
        commands = block.text
        if self._install is not None and _PIP.search(commands):
            self._install(self._home)
            commands = _PIP.sub("", commands)
        self._says(block.text)
        self._place = self._second.shown
        end = time.monotonic() + _SHOWS
        while True:
            place = self._first.run(commands)
            code = self._first.prompt(place, _HANGS)
            output = self._first.since(place)
            missing = missing_lines(block.printed, output)
            if not missing or not _LOOK.fullmatch(commands) or time.monotonic() > end:
                break
        self._say(output)
        assert bool(code) == block.fails, f"start.md:{block.line}: exit code {code}\n{output}"
        assert not missing, f"start.md:{block.line}: not printed: {missing}\n{output}"

    def _types_in_the_second(self, block: Block) -> None:
        self._place = self._second.shown
        self._says(block.text)
        if block.text.startswith(_INTERRUPTED):
            self._second.interrupt()
            self._second.prompt(self._place, _SHOWS)
        self._second.run(block.text)
        self._sees(block.line, block.printed)

    def _sees(self, line: int, printed: str) -> None:
        seen = self._second.wait(
            lambda shown: not missing_lines(printed, shown), self._place, _SHOWS
        )
        shown = self._second.since(self._place)
        self._say(f"(second terminal)\n{shown}")
        assert seen, f"start.md:{line}: not seen: {missing_lines(printed, shown)}\n{shown}"

    def _says(self, commands: str) -> None:
        self._say("\n".join(f"$ {line}" for line in commands.splitlines()))

    def leaves(self) -> None:
        """Close both terminals."""
        self._second.close()
        self._first.close()


def follow(user: NewUser, say: Callable[[str], object]) -> dict[str, float]:
    """Follow the page from its beginning to its end; return the seconds of each section."""
    page = PAGE.read_text()
    headings = [(page.count("\n", 0, h.start()) + 1, h[1]) for h in _HEADING.finditer(page)]
    seconds: dict[str, float] = {}
    for block in blocks_of(page):
        heading = [title for line, title in headings if line < block.line][-1]
        if heading not in seconds:
            say(f"\n== {heading}")
        began = time.monotonic()
        user.does(block)
        key = "pip" if _PIP.search(block.text) else heading
        seconds.setdefault(heading, 0.0)
        seconds[key] = seconds.get(key, 0.0) + time.monotonic() - began
    return seconds


def untouched(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a user who has heard of neither pgqueue nor PostgreSQL."""
    ours = ("PG", "PYTHON", "VIRTUAL_ENV", "COLUMNS")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


@contextmanager
def _empty_directory() -> Iterator[Path]:
    """An empty directory beside a clone. The account of an embedded server can enter it."""
    place = Path(tempfile.mkdtemp(prefix="new-user-")).resolve()
    place.chmod(0o755)
    try:
        (place / "pgqueue").symlink_to(ROOT)
        home = place / "first"
        home.mkdir()
        yield home
    finally:
        shutil.rmtree(place, ignore_errors=True)


def main() -> None:
    """Follow the page, and print what it took."""
    with _empty_directory() as home:
        user = NewUser(home, untouched(os.environ), say=print)
        try:
            seconds = follow(user, print)
        finally:
            user.leaves()
    print("\nseconds  section")
    for section, spent in seconds.items():
        print(f"{spent:7.1f}  {section}")
    spent = sum(seconds.values()) - seconds["pip"]
    print(f"{spent:7.1f}  all but pip; at most {MOST_SECONDS:.0f}")
    if spent > MOST_SECONDS:
        sys.exit("a new user's first steps take too long")


if __name__ == "__main__":
    main()
