"""The report of a run, and of one workload that is run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.report import write_report
from benchmarks.rows import Row, ratio, row


def facts(revision: str, *systems: str) -> dict[str, Any]:
    about = {"version": "1", "settings": "", "about": ""}
    return {
        "date": f"day {revision}", "cpu": "2 x", "memory_gb": 1.0, "system": "Linux",
        "python": "3.11", "postgresql": "18", "settings": {}, "fdatasync_ms": 0.1, "load": 0.0,
        "revision": revision, "systems": dict.fromkeys(systems, about), "not_installed": {},
    }  # fmt: skip


def rates(workload: str, ours: float) -> list[Row]:
    return [row(workload, "pgqueue", "1 worker", [ours, ours + 1, ours + 2], "jobs/s", ">= 100")]


def values(directory: Path) -> dict[str, float]:
    raw = json.loads((directory / "results.json").read_text())
    return {row["workload"]: row["value"] for row in raw["rows"]}


def test_one_workload_takes_the_place_of_its_former_figures(tmp_path: Path) -> None:
    first = [*rates("drain", 10.0), *rates("io", 20.0)]
    write_report(tmp_path, facts("a", "pgqueue", "chancy"), first, complete=True)
    assert "0 of 2 met" in (tmp_path / "README.md").read_text()
    write_report(tmp_path, facts("b", "pgqueue"), rates("drain", 1000.0), complete=False)
    assert values(tmp_path) == {"drain": 1001.0, "io": 21.0}
    text = (tmp_path / "README.md").read_text()
    assert "1 of 2 met" in text
    assert text.index("Run at day b, pgqueue at b.") < text.index("Run at day a, pgqueue at a.")
    assert "| chancy | 1 |" in text


def test_a_whole_run_keeps_nothing_of_the_former(tmp_path: Path) -> None:
    write_report(tmp_path, facts("a"), [*rates("drain", 10.0), *rates("io", 20.0)], complete=True)
    write_report(tmp_path, facts("b"), rates("drain", 30.0), complete=True)
    assert values(tmp_path) == {"drain": 31.0}
    assert "## io\n\nnot run" in (tmp_path / "README.md").read_text()


def test_a_whole_run_keeps_what_it_leaves_out(tmp_path: Path) -> None:
    former = [*rates("drain", 10.0), *rates("fleet", 20.0)]
    write_report(tmp_path, facts("a", "pgqueue", "chancy"), former, complete=False)
    write_report(tmp_path, facts("b"), rates("drain", 30.0), complete=True)
    assert values(tmp_path) == {"drain": 31.0, "fleet": 21.0}
    text = (tmp_path / "README.md").read_text()
    assert "Run at day a, pgqueue at a." in text
    assert "| pgqueue | 1 |" in text  # and nothing of chancy, which has no row left
    assert "chancy" not in text


def test_a_ratio_is_taken_turn_by_turn() -> None:
    fast = row("flow", "pgqueue", "fast", [10, 20], "jobs/s")
    slow = row("flow", "pgqueue", "slow", [5, 16], "jobs/s")
    peer = row("flow", "a-peer", "fast", [1, 1], "jobs/s")
    (found,) = ratio([fast, slow, peer], "slow / fast", "slow", "fast", ">= 0.8")
    assert (found.workload, found.system, found.samples) == ("flow", "pgqueue", (0.5, 0.8))
    assert (found.value, found.ok) == (0.65, False)
    assert ratio([fast], "slow / fast", "slow", "fast", ">= 0.8") == []
