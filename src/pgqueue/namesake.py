"""Another project's ``pgqueue``, a single module, must not stand beside this package."""

from __future__ import annotations

import os

__all__ = ["refuse_namesake"]


def refuse_namesake(package: str) -> None:
    """Raise ImportError if ``pgqueue.py`` stands beside the directory of this package.

    On PyPI the name ``pgqueue`` is another project's. Where both are installed, a program that
    wants the other would get this one.
    """
    other = f"{package}.py"
    if os.path.exists(other):
        raise ImportError(
            f"another project's pgqueue is installed beside this one: {other}; this package is "
            "pgqueue-py. Remove the other: pip uninstall pgqueue",
            name="pgqueue",
            path=other,
        )
