"""Where the figures come from: the machine, the versions, the settings, the date."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.harness.machine import processor

from benchmarks.cluster import SETTINGS, Server
from benchmarks.systems.base import System

__all__ = ["describe"]


def describe(server: Server, systems: list[System], absent: dict[str, str]) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": f"{os.cpu_count()} x {processor()}",
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": server.version,
        "settings": SETTINGS,
        "fdatasync_ms": round(_fdatasync_ms(server.cluster.data_dir.parent), 3),
        "load": os.getloadavg()[0],
        "revision": _revision(),
        "systems": {
            system.name: {
                "version": system.version(),
                "settings": system.settings,
                "kindest": dict(system.kindest),
                "about": system.about,
            }
            for system in systems
        },
        "not_installed": absent,
    }


def _fdatasync_ms(directory: Path) -> float:
    """What one commit waits for: 8 kB written and synced, where the cluster is."""
    times: list[float] = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(100):
            file.seek(0)
            file.write(os.urandom(8192))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def _revision() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip() or "unknown"
