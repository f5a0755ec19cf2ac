"""Programs that the server's account cannot reach are copied once to where it can.

Only root comes here: its virtual environment may live below /root, which other users cannot enter.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pgqueue.embedded.account import Account
from pgqueue.embedded.binaries import Binaries
from pgqueue.errors import EmbeddedError

__all__ = ["ROOTS", "reachable"]

ROOTS = (Path("/var/cache"), Path("/var/tmp"))  # noqa: S108  (ownership is verified below)
"""Where copies are made: the first of these that can be used."""

_LIBRARIES = ("{package}.libs", "{package}/.dylibs")  # beside the wheel's package, by platform


def reachable(binaries: Binaries, account: Account, roots: Sequence[Path] = ROOTS) -> Binaries:
    """Return these binaries, or a copy of them that ``account`` can run."""
    if not account.switch or _runs(binaries, account):
        return binaries
    if binaries.wheel is None:
        raise EmbeddedError(
            f'the user "{account.name}" cannot run {binaries["postgres"]}, and PostgreSQL '
            "refuses to run as root; make that directory readable for other users"
        )
    copied = _copy(binaries, binaries.wheel, roots)
    if not _runs(copied, account):
        raise EmbeddedError(
            f'the user "{account.name}" cannot run {copied["postgres"]}, a copy of '
            f"{binaries['postgres']}; is its file system mounted noexec?"
        )
    return copied


def _runs(binaries: Binaries, account: Account) -> bool:
    try:
        answer = subprocess.run(
            [binaries["postgres"], "--version"],
            capture_output=True,
            check=False,
            cwd="/",
            user=account.user,
            group=account.group,
            extra_groups=account.extra_groups,
        )
    except OSError:
        return False
    return answer.returncode == 0


def _copy(binaries: Binaries, wheel: str, roots: Sequence[Path]) -> Binaries:
    install = binaries.bin_dir.parent
    package = install.parent
    home = _home(roots)
    target = home / f"postgres-{binaries.version}-wheel-{wheel}"
    copied = replace(binaries, bin_dir=target / package.name / install.name / "bin")
    if target.exists():
        _verify(target)
        return copied

    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))
    try:
        # The libraries find each other by $ORIGIN: the copy keeps the layout of site-packages.
        for part in ("bin", "lib", "share"):
            shutil.copytree(
                install / part,
                draft / package.name / install.name / part,
                symlinks=True,
                ignore=shutil.ignore_patterns("*.a", "pkgconfig"),
            )
        for pattern in _LIBRARIES:
            name = pattern.format(package=package.name)
            if (package.parent / name).is_dir():
                shutil.copytree(package.parent / name, draft / name, symlinks=True)
        _publish(draft)
        try:
            draft.rename(target)
        except OSError:
            _verify(target)  # somebody else was quicker
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return copied


def _home(roots: Sequence[Path]) -> Path:
    for root in roots:
        home = root / "pgqueue"
        try:
            with contextlib.suppress(FileExistsError):
                home.mkdir()
                home.chmod(0o755)
            _verify(home)
        except (OSError, EmbeddedError):
            continue
        return home
    places = " or ".join(str(root / "pgqueue") for root in roots)
    raise EmbeddedError(
        "PostgreSQL's programs must be copied to where an unprivileged user can run them, "
        f"but {places} could not be made, or is not root's alone"
    )


def _verify(directory: Path) -> None:
    """Only root may have been able to write there: what is in it will be run."""
    for place in (directory, *directory.parents):
        status = place.lstat()
        shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        sticky = status.st_mode & stat.S_ISVTX and place != directory
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or (shared and not sticky):
            raise EmbeddedError(f"{place} is not a directory that only root can write to")


def _publish(tree: Path) -> None:
    for directory, _, files in os.walk(tree):
        Path(directory).chmod(0o755)
        for name in files:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
