"""Compare this tree with others in turns: ``python -m benchmarks.versus TREE... --turns 7``.

A tree is a clone at another revision with an environment of its own, made there by
``make .venvs/bench/pgqueue/.bench``. The trees take turns, each turn in the opposite order of the
one before. A ratio is of two runs of one turn, which are neighbours in time. The table shows the
median of the ratios, and the interval in which the true median lies with a probability of at
least 90 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

__all__ = ["Ratio", "interval", "main", "ratios"]

Figures = Mapping[tuple[str, str], float]
"""The figures of one run, by workload and name."""

_SURE = 0.9
_PYTHON = Path(".venvs/bench/pgqueue/bin/python")


@dataclass(frozen=True, slots=True)
class Ratio:
    """What this tree reached, divided by what another one reached, over all turns."""

    workload: str
    figure: str
    median: float
    low: float
    high: float
    turns: int


def interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the bounds between which the true median lies with at least 90 % certainty.

    They are two of the samples (the sign test); the smallest and the largest where there are too
    few for 90 %.
    """
    ordered = sorted(samples)
    n = len(ordered)
    below = 0.0  # how likely it is that at most k samples lie below the true median
    cut = 0
    for k in range((n + 1) // 2):
        below += comb(n, k) / 2**n
        if 2 * below > 1 - _SURE:
            break
        cut = k
    return ordered[cut], ordered[n - 1 - cut]


def ratios(turns: Sequence[tuple[Figures, Figures]]) -> list[Ratio]:
    """Return the first tree's ratio to the second, of each figure that both have in every turn."""
    names = [
        name
        for name in turns[0][0]
        if all(mine.get(name) and other.get(name) for mine, other in turns)
    ]
    found: list[Ratio] = []
    for name in names:
        samples = [mine[name] / other[name] for mine, other in turns]
        low, high = interval(samples)
        found.append(Ratio(*name, statistics.median(samples), low, high, len(samples)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.versus",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trees", nargs="+", type=Path, metavar="TREE")
    parser.add_argument("--turns", type=int, default=7, help="how often each tree is run [7]")
    parser.add_argument(
        "--workloads", default="drain,latency,contention", help="[drain,latency,contention]"
    )
    parser.add_argument("--jobs", type=int, help="how many jobs a run has, in place of its usual")
    options = parser.parse_args(arguments)
    trees = [Path.cwd(), *(tree.resolve() for tree in options.trees)]
    for tree in trees:
        if not (tree / _PYTHON).exists():
            sys.exit(f"{tree} has no environment; there: make {_PYTHON.parent.parent}/.bench")
    for workload in options.workloads.split(","):
        runs: list[list[Figures]] = []
        for turn in range(options.turns):
            order = trees if turn % 2 == 0 else trees[::-1]
            done = {tree: _run(tree, workload, options.jobs) for tree in order}
            runs.append([done[tree] for tree in trees])
        for place, tree in enumerate(trees[1:], 1):
            print(f"\nthis tree to {tree} ({_revision(tree)})", flush=True)
            for one in ratios([(run[0], run[place]) for run in runs]):
                print(
                    f"  {one.workload:<11} {one.figure:<48} {one.median:.3f}  "
                    f"[{one.low:.3f}, {one.high:.3f}]  {one.turns} turns",
                    flush=True,
                )
    return 0


def _run(tree: Path, workload: str, jobs: int | None) -> Figures:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [str(_PYTHON), "-m", "benchmarks", workload, "--systems", "pgqueue"]
        command += ["--rounds", "1", "--json", file.name]
        if jobs is not None:
            command += ["--jobs", str(jobs)]
        subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)
        rows = json.loads(Path(file.name).read_text())
    return {(row["workload"], row["figure"]): row["value"] for row in rows if row["value"]}


def _revision(tree: Path) -> str:
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
