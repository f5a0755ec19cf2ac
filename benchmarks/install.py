"""``python -m benchmarks.install [NAME ...]``: each peer into an environment of its own.

Under .venvs/bench: a virtual environment or a node_modules for each. What cannot be installed gets
a file NAME.why with the reason, which the benchmark's table repeats.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import systems
from benchmarks.systems.base import HOME, PythonSystem
from benchmarks.systems.node import NodeSystem
from benchmarks.systems.redis import RedisSystem, install_redis

__all__ = ["main"]


def main(names: list[str]) -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME.parent / ".gitignore").write_text("*\n")
    for name in names or systems.NAMES:
        system = systems.get(name)
        why: str | None = None
        if isinstance(system, RedisSystem):
            why = install_redis()
        if why is None and isinstance(system, PythonSystem):
            why = _python(system)
        elif isinstance(system, NodeSystem):
            why = _node(system)
        reason = HOME / f"{name}.why"
        if why:
            reason.write_text(why + "\n")
        else:
            reason.unlink(missing_ok=True)
        print(f"{name}: {why or 'installed'}", flush=True)


def _python(system: PythonSystem) -> str | None:
    home = HOME / system.name
    python = _interpreter(system.minimum)
    if python is None:
        return "needs Python {}.{} or newer".format(*system.minimum)
    stamp = home / "requirements.txt"
    wanted = "\n".join([python, *system.requires]) + "\n"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    shutil.rmtree(home, ignore_errors=True)
    done = _run(python, "-m", "venv", str(home))
    if done is None:
        pip = (system.python, "-m", "pip", "--disable-pip-version-check", "install", "-qq")
        done = _run(*pip, *system.requires)
    if done is None:
        stamp.write_text(wanted)
    else:
        shutil.rmtree(home, ignore_errors=True)
    return done


def _node(system: NodeSystem) -> str | None:
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    home = HOME / system.name
    stamp = home / "requirements.txt"
    wanted = "\n".join(system.requires) + "\n"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    (home / "package.json").write_text('{"private": true}\n')
    # The package `node` brings a Node.js of its own: the machine's may be too old for the peer.
    install = (npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(home))
    done = _run(*install, *system.requires)
    if done is None:
        stamp.write_text(wanted)
    return done


def _interpreter(minimum: tuple[int, int]) -> str | None:
    """The harness's own Python if it is new enough, else the oldest one found that is."""
    if sys.version_info[:2] >= minimum:
        return str(Path(sys.base_prefix, "bin", "python3"))
    for minor in range(minimum[1], minimum[1] + 5):
        for path in Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"):
            return str(path)
        if path := shutil.which(f"python3.{minor}"):
            return path
    return None


def _run(*command: str) -> str | None:
    """Run a command; return the end of what it said if it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    said = [line for line in (done.stderr + done.stdout).strip().splitlines() if "WARN" not in line]
    return f"{Path(command[0]).name} failed: {said[-1] if said else done.returncode}"


if __name__ == "__main__":
    main(sys.argv[1:])
