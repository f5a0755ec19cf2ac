"""The wheel of this clone, installed without a network beside what this environment has."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

__all__ = ["build", "install", "site"]

ROOT = Path(__file__).parents[2]


def build(place: Path) -> Path:
    """Build the wheel in that directory."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place],
        cwd=ROOT, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (built,) = place.glob("*.whl")
    return built


def site(home: Path) -> Path:
    """The directory of packages of a virtual environment."""
    (found,) = home.glob("lib/python*/site-packages")
    return found


def install(wheel: Path, home: Path) -> None:
    """Install the wheel into a virtual environment, which can import what this one has besides.

    What a .pth file of a directory says counts only where that is a site's own: pgqueue itself,
    which is installed here as a link to its source, is not found by that one.
    """
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", "-qq",
         "--no-index", "--no-deps", "--disable-pip-version-check", wheel],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (site(home) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
