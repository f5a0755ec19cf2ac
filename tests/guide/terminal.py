"""A terminal with bash in it, as a user has one: the state stays, and Ctrl-C is a key.

It needs nothing but Python, so that a script without any package can use it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["Terminal"]

# The session's first process takes the terminal for its own, and becomes bash. A signal that was
# ignored before would stay so, as it is where this runs in the background.
_BEGIN = """
import fcntl, os, signal, termios
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
"""
_TRAP = "trap 'code=${code/#0/$?}' ERR"  # the first that is not 0
_SECONDS = 30.0  # to begin, to end
_COLUMNS = 300  # no line of a page is folded
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Types commands, and keeps what the screen has shown.

    ``script``: a file for the commands, so that no program reads what is typed for bash.
    """

    def __init__(self, home: Path, environment: Mapping[str, str], script: Path) -> None:
        self._script = script
        mark = uuid.uuid4().hex
        self._prompt = re.compile(rf"{mark} (\d+)\n")
        self._keyboard, theirs = pty.openpty()
        _without_echo(theirs)
        self._screen = ""
        self._changed = threading.Condition()
        self._bash = subprocess.Popen(
            [sys.executable, "-c", _BEGIN],
            cwd=home,
            env={
                **environment,
                "PS1": "",
                "PS2": "",
                "PROMPT_COMMAND": f"echo {mark} ${{code:-0}}; code=0",  # keeps $? as it is
                "HISTFILE": "",
                "VIRTUAL_ENV_DISABLE_PROMPT": "1",
                "TERM": "xterm",
                "NO_COLOR": "1",
            },
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()
        self.prompt(0, _SECONDS)
        self.prompt(self.run(_TRAP), _SECONDS)

    @property
    def shown(self) -> int:
        """How much it has shown so far: a place to look from."""
        with self._changed:
            return len(self._screen)

    def since(self, place: int) -> str:
        """What programs have shown since that place."""
        with self._changed:
            return self._prompt.sub("", self._screen[place:])

    def run(self, commands: str) -> int:
        """Type commands; return the place behind which their output stands."""
        self._script.write_text(commands)
        place = self.shown
        os.write(self._keyboard, f"source {self._script}\n".encode())
        return place

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._keyboard, b"\x03")

    def prompt(self, place: int, seconds: float) -> int:
        """Wait for the prompt; return the first exit code since then that was not 0."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: self._prompt.search(self._screen, place), seconds
            )
            if found is None:
                raise TimeoutError(f"no prompt after {seconds} s:\n{self._screen[place:]}")
            return int(found[1])

    def wait(self, look: Callable[[str], bool], place: int, seconds: float) -> bool:
        """Wait until ``look`` is content with what was shown since that place."""
        with self._changed:
            return self._changed.wait_for(lambda: look(self.since(place)), seconds)

    def close(self) -> None:
        """Close the window: all that runs in it is hung up, and killed if that does not help."""
        with contextlib.suppress(OSError):
            os.killpg(os.tcgetpgrp(self._keyboard), signal.SIGHUP)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGHUP)
        try:
            self._bash.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._bash.kill()
            self._bash.wait()
        self._reader.join(_SECONDS)
        os.close(self._keyboard)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: nobody has it open any more
            while block := os.read(self._keyboard, 65536):
                text = _CODES.sub("", block.decode(errors="replace"))
                with self._changed:
                    self._screen += text
                    self._changed.notify_all()


def _without_echo(terminal: int) -> None:
    """Show what programs print, as they print it, and not what is typed."""
    modes = termios.tcgetattr(terminal)
    modes[1] &= ~termios.OPOST
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _COLUMNS, 0, 0))
