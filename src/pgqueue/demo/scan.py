"""The files below a directory."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Found", "scan", "standard_library"]

# What is installed beside the standard library and what Python writes there are not part of it.
_NOT_ITS_OWN = frozenset({"site-packages", "dist-packages", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Found:
    """``paths`` in order; ``left_out`` counts what cannot be a row: what is no regular file, a
    directory that cannot be listed, a name that is not UTF-8."""

    root: Path
    paths: list[str]
    left_out: int

    def relative(self, path: str) -> str:
        """Return the path as seen from the root."""
        return os.path.relpath(path, self.root)


def standard_library() -> Path:
    """Return where the running Python keeps its standard library."""
    return Path(sysconfig.get_path("stdlib"))


def scan(root: Path | None = None, *, limit: int | None = None) -> Found:
    """Find every file below ``root``, by default the standard library; at most ``limit``."""
    pruned = _NOT_ITS_OWN if root is None else frozenset[str]()
    root = (standard_library() if root is None else root).resolve()
    paths: list[str] = []
    left_out = 0
    for path in _walk(root, pruned):
        if path is None:
            left_out += 1
        elif limit is None or len(paths) < limit:
            paths.append(path)
        else:
            break
    return Found(root, paths, left_out)


def _walk(root: Path, pruned: frozenset[str]) -> Iterator[str | None]:
    """Yield paths, directory by directory in the order of names; None for what is left out."""
    unlisted: list[OSError] = []
    for directory, below, names in os.walk(root, onerror=unlisted.append):
        below[:] = sorted(set(below) - pruned)
        for name in sorted(names):
            path = os.path.join(directory, name)
            yield path if _is_file(path) and _is_text(path) else None
    yield from (None for _ in unlisted)


def _is_file(path: str) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
