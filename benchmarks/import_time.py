"""How long a program waits for ``import pgqueue``: ``python -m benchmarks.import_time``.

Fresh processes run in turns, so that what else the machine does hits all alike. A figure is the
median, and the least in parentheses, of the milliseconds from start to end, and of those of CPU.
What ``import pgqueue`` takes is its figure less that of the interpreter alone. The verdict is about
CPU: the files are cached, and an import waits for nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

__all__ = ["main", "measure"]

PROGRAMS = {
    "python": "pass",
    "import asyncio": "import asyncio",
    "import msgspec": "import msgspec",
    "import asyncio, msgspec": "import asyncio, msgspec",
    "import pgqueue": "import pgqueue",
    "App and a task": "import pgqueue; app = pgqueue.App()\n@app.task\ndef f(a: int) -> None: ...",
    "a worker's modules": "import pgqueue; pgqueue.Worker",
}
_BARE, _OURS = "python", "import pgqueue"
MOST_MS = 100.0


def measure(program: str) -> tuple[float, float]:
    """Run it in a fresh interpreter; return its milliseconds, and those of CPU."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program])
    _, status, usage = os.wait4(process.pid, 0)
    spent = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {program}")
    return 1000 * spent, 1000 * (usage.ru_utime + usage.ru_stime)


def _shown(figures: list[float]) -> str:
    return f"{statistics.median(figures):6.1f} ({min(figures):.1f})"


def main() -> None:
    """Measure in turns, print a table, and fail if the import takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=20, help="how often each runs; 20")
    times = parser.parse_args().times
    for program in PROGRAMS.values():
        measure(program)  # the first writes compiled modules, and fills the cache of files
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    for _ in range(times):
        for name, program in PROGRAMS.items():
            found[name].append(measure(program))
    print(f"{'':24} {'ms':>14} {'ms of CPU':>15}")
    for name, figures in found.items():
        wall, cpu = ([each[i] for each in figures] for i in (0, 1))
        print(f"{name:24} {_shown(wall):>14} {_shown(cpu):>15}")
    took = statistics.median(each[1] for each in found[_OURS])
    took -= statistics.median(each[1] for each in found[_BARE])
    print(f"import pgqueue takes {took:.1f} ms of CPU; at most {MOST_MS:.0f}")
    if took > MOST_MS:
        sys.exit("import pgqueue takes too long")


if __name__ == "__main__":
    main()
