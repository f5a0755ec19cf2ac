"""Directories that a server's unprivileged account can enter."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.servers import ROOT

__all__ = ["open_place"]


@contextmanager
def open_place(prefix: str) -> Iterator[Path]:
    """A new directory that everybody may enter, in memory where there is room.

    Not below tmp_path: each pytest that starts closes pytest's own directory to other accounts.
    """
    ROOT.mkdir(mode=0o755, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=ROOT)).resolve()
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
