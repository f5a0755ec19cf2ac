"""What a report says of the machine that its figures come from."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

__all__ = ["describe", "processor"]


def processor() -> str:
    """The processor's name; its architecture where the system does not tell."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def describe() -> str:
    """Cores, memory and system, in one line."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores ({processor()}), {memory:.0f} GB, {system}"
