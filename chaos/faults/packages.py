"""Debian packages that a fault needs, unpacked into a cache of the project and never installed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from chaos.faults.fault import Impossible

__all__ = ["FAKETIME", "NFTABLES", "unpacked"]

FAKETIME = ("libfaketime",)
NFTABLES = (
    "nftables", "libnftables1", "libnftnl11", "libmnl0", "libjansson4", "libxtables12",
    "libedit2", "libbsd0", "libmd0",
)  # fmt: skip
_CACHE = Path(__file__).resolve().parents[2] / ".venvs" / "chaos"
_SECONDS = 120.0


def unpacked(packages: tuple[str, ...]) -> Path:
    """Return the directory that holds the files of these packages; fetch them the first time."""
    home = _CACHE / packages[0]
    if home.is_dir():
        return home
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Impossible(f"{packages[0]} comes from Debian packages, and this is no Debian")
    _CACHE.mkdir(parents=True, exist_ok=True)
    (_CACHE.parent / ".gitignore").write_text("*\n")
    lock = os.open(_CACHE / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            _fetch(packages, home)
    finally:
        os.close(lock)
    return home


def _fetch(packages: tuple[str, ...], home: Path) -> None:
    draft = home.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "debs").mkdir(parents=True)
    _run(["apt-get", "download", *packages], draft / "debs")
    for deb in (draft / "debs").glob("*.deb"):
        _run(["dpkg", "-x", str(deb), str(draft)], draft)
    draft.rename(home)


def _run(command: list[str], where: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Impossible(f"{command[0]}: {exc}") from exc
    if done.returncode:
        raise Impossible(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-200:]}")
