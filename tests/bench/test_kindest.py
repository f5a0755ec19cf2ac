"""A sweep of settings, and ratios to a peer at its kindest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks import systems
from benchmarks.kindest import ratio_to_peer
from benchmarks.rows import row
from benchmarks.sweep import Settings, Tried, sweep

ROOT = Path(__file__).resolve().parents[2]


def test_a_sweep_varies_one_setting_beside_the_best_of_the_others() -> None:
    asked: list[tuple[str, str]] = []

    def measure(settings: Settings) -> float | None:
        size, width = settings["size"], settings["width"]
        asked.append((size, width))
        return None if size == "9" else float(size) * 10 + (width == "b")

    tried, best = sweep({"size": ("1", "2", "9"), "width": ("a", "b")}, 2, measure)
    assert best == {"size": "2", "width": "b"}
    assert tried == [
        Tried("size", "1", (10.0, 10.0)),
        Tried("size", "2", (20.0, 20.0)),
        Tried("size", "9", ()),  # it failed, and was not tried again
        Tried("width", "a", (20.0, 20.0)),
        Tried("width", "b", (21.0, 21.0)),
    ]
    sizes = [("1", "a"), ("2", "a"), ("9", "a"), ("2", "a"), ("1", "a")]
    assert asked == [*sizes, ("2", "a"), ("2", "b"), ("2", "b"), ("2", "a")]


def test_a_ratio_to_the_kindest_is_to_the_better_of_both() -> None:
    rows = [
        row("drain", "pgqueue", "1 worker", [60, 80, 70], "jobs/s"),
        row("drain", "pgqueue", "1 worker, kindest", 500, "jobs/s"),
        row("drain", "peer", "1 worker", 20, "jobs/s"),
    ]
    (plain,) = ratio_to_peer(rows, "1 worker", "peer", ">= 2")
    assert (plain.figure, plain.value, plain.ok) == ("1 worker / peer", 3.5, True)
    (missing,) = ratio_to_peer(rows, "1 worker", "peer", ">= 2", kindest=True)
    assert (missing.value, missing.ok, missing.note) == (None, None, "peer was not measured")
    for kind, value in ((40, 1.75), (10, 3.5)):
        measured = [*rows, row("drain", "peer", "1 worker, kindest", kind, "jobs/s")]
        (best,) = ratio_to_peer(measured, "1 worker", "peer", ">= 2", kindest=True)
        assert (best.figure, best.value) == ("1 worker / peer, kindest", value)
    assert ratio_to_peer(rows[2:], "1 worker", "peer", ">= 2") == []


def test_what_is_kindest_was_tried() -> None:
    for name in systems.NAMES:
        system = systems.get(name)
        for knob, value in system.kindest.items():
            assert value in system.knobs[knob][1:], (name, knob)


def test_sweep_of_a_real_system() -> None:
    command = [sys.executable, "-m", "benchmarks.sweep", "baseline", "--quick", "--rounds", "1"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["BENCH_TAKE", value] for value in systems.get("baseline").knobs["BENCH_TAKE"]
    ]
    assert lines[-1].startswith("kindest={")
