"""The first steps of a new user, as docs/guide/start.md has them, and nothing besides.

pip installs the wheel of this clone, without a network; `make new-user` installs for real.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guide.new_user import NewUser, follow, untouched
from tests.guide.page import Block
from tests.guide.terminal import Terminal
from tests.harness.places import open_place
from tests.harness.wheel import build, install

pytestmark = pytest.mark.alone


@pytest.fixture
def home() -> Iterator[Path]:
    with open_place("new-user-") as place:
        home = place / "first"
        home.mkdir()
        yield home


@pytest.fixture
def environment() -> dict[str, str]:
    """A new user's, with the Python that these tests run under."""
    pythons = Path(sys.executable).resolve().parent
    path = os.pathsep.join([str(pythons), os.environ["PATH"]])
    return untouched(os.environ) | {"PATH": path}


def test_all_is_as_the_page_says(home: Path, environment: dict[str, str], tmp_path: Path) -> None:
    wheel = build(tmp_path)

    def install_here(home: Path) -> None:
        install(wheel, home / ".venv")
        # pytest can be imported there, but is no command yet.
        command = home / ".venv" / "bin" / "pytest"
        command.write_text('#!/bin/sh\nexec python -m pytest "$@"\n')
        command.chmod(0o755)

    screen: list[str] = []
    user = NewUser(home, environment, say=screen.append, install=install_here)
    try:
        seconds = follow(user, screen.append)
    finally:
        user.leaves()
    assert {"pip", "A worker", "A test", "Stop"} <= set(seconds)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (Block(3, "sh", "echo a\n", "b\n"), r"start\.md:3: not printed: \['b'\]"),
        (Block(4, "sh", "false\necho a\n", "a\n"), r"start\.md:4: exit code 1"),
        (Block(5, "sh", "true\n", "pgqueue: no\n"), r"start\.md:5: exit code 0"),
    ],
)
def test_what_is_not_as_the_page_says_is_named(
    block: Block, said: str, home: Path, environment: dict[str, str]
) -> None:
    user = NewUser(home, environment, say=print)
    try:
        with pytest.raises(AssertionError, match=said):
            user.does(block)
    finally:
        user.leaves()


def test_a_terminal_keeps_its_state_and_knows_ctrl_c(
    home: Path, environment: dict[str, str]
) -> None:
    terminal = Terminal(home, environment, home / "script")
    try:
        terminal.prompt(terminal.run("cd /\nx=3\n"), 60)
        place = terminal.run("sh -c 'echo ready $0; exec cat' \"$x $PWD\"\n")
        assert terminal.wait(lambda shown: "ready 3 /\n" in shown, place, 60)
        terminal.interrupt()
        terminal.prompt(place, 60)
        place = terminal.run('echo "code $?"\n')
        terminal.prompt(place, 60)
        assert terminal.since(place) == "code 130\n"
    finally:
        terminal.close()
