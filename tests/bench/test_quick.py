"""The benchmarks still work: every workload, with a handful of jobs, untimed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.parts import PARTS, read_stacks

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"workload", "system", "figure", "value", "unit", "target", "ok"}
WORKLOADS = {
    *("drain", "bulk", "single", "contention", "latency", "mixed", "payload"),
    *("flat", "many", "io", "batch", "idle", "transactions", "threads"),
}
LONG = (("sustained", 9), ("history", 15))


@pytest.mark.parametrize(
    "systems", ["pgqueue", pytest.param("pgqueue,baseline", marks=pytest.mark.long)]
)
def test_all_workloads(tmp_path: Path, systems: str) -> None:
    figures, report = tmp_path / "figures.json", tmp_path / "report"
    command = [sys.executable, "-m", "benchmarks", "all", "--quick", "--jobs", "100"]
    done = subprocess.run(
        [*command, "--systems", systems, "--json", str(figures), "--report", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,  # against a hang
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[dict[str, Any]] = json.loads(figures.read_text())

    assert [row for row in rows if row["figure"] in ("failed", "not installed")] == []
    assert {row["workload"] for row in rows if row["system"] == "pgqueue"} == WORKLOADS
    for row in rows:
        assert row.keys() >= KEYS
        assert row["value"] is None or isinstance(row["value"], float)
        assert (row["ok"] is None) == (row["target"] is None or row["value"] is None)
    aimed = [row for row in rows if row["target"]]
    assert {row["workload"] for row in aimed} == WORKLOADS
    assert {row["system"] for row in aimed} == {"pgqueue"}

    raw = json.loads((report / "results.json").read_text())
    assert raw["machine"]["postgresql"].startswith("18")
    assert "## drain" in (report / "README.md").read_text()


@pytest.mark.parametrize(
    ("workload", "count"),
    [("flow", 41), *(pytest.param(*one, marks=pytest.mark.long) for one in LONG)],
)
def test_what_all_leaves_out(tmp_path: Path, workload: str, count: int) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", workload, "--quick", "--json", str(figures)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[dict[str, Any]] = json.loads(figures.read_text())
    assert len(rows) == count
    assert all(row["value"] is not None for row in rows), rows


@pytest.mark.long
def test_fleet(tmp_path: Path) -> None:
    """What is not part of `all`: real fleets, small ones."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "fleet", "--systems", "pgqueue", "--quick"]
    done = subprocess.run(
        [*command, "--sizes", "1,2", "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,  # against a hang
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[dict[str, Any]] = json.loads(figures.read_text())
    assert [row for row in rows if row["value"] is None] == []
    assert [row["figure"] for row in rows if row["target"]]
    one, two = (
        {row["figure"] for row in rows if row["figure"].endswith(crew)}
        for crew in (", 1 worker", ", 2 workers")
    )
    assert len(one) == len(two) > 10


@pytest.mark.long
def test_fleets_of_one_slot_are_compared(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "fleet", "--systems", "pgqueue", "--quick"]
    done = subprocess.run(
        [*command, "--sizes", "4,5", "--concurrency", "1", "--busy", "1", "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,  # against a hang
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[dict[str, Any]] = json.loads(figures.read_text())
    assert [row for row in rows if row["value"] is None] == []
    assert {row["figure"] for row in rows if row["unit"] == "x"} == {
        "single enqueues of 5 callers, 5 workers of 1 slot / 4",
        "drain, one commit, 5 workers of 1 slot / 4",
    }
    assert {row["note"].partition(";")[0] for row in rows} == {"beside 1 busy loop"}


def test_profile() -> None:
    """The profile of a worker: every sample is in a part, and what it says is there."""
    command = [sys.executable, "-m", "benchmarks.profiler", "--quick", "--jobs", "20000"]
    done = subprocess.run(
        [*command, "--rounds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,  # against a hang
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "worker CPU per job: the sum" in done.stdout
    for part in PARTS:
        assert part in done.stdout


def test_innermost_frame_of_ours_says_the_part() -> None:
    loop = "run (/lib/uvloop/__init__.py:9);uv_run (/project/libuv/core.c:4);"
    serve = loop + "Runner._dispatch (/src/pgqueue/worker/run/runner.py:1);"
    stacks = {
        loop + "read (libc.so.6)": "loop and socket",
        loop + "data_received (/project/asyncpg/protocol.c:1)": "decode of claimed rows",
        serve + "Buffer.next (/src/pgqueue/worker/run/buffer.py:2)": "buffer",
        serve
        + "Payload.decode (/src/pgqueue/payload/codec.py:3);x (msgspec.so)": "argument conversion",
        "write (/project/asyncpg/protocol.c:1)": "decode of claimed rows",
        "f (odd name) (x.c:1)": "rest",
        "no file": "rest",
    }
    for stack, part in stacks.items():
        assert read_stacks([f"{stack} 7"]) == {part: 7}, stack
    assert set(stacks.values()) <= set(PARTS)
    assert not read_stacks([serve + "pthread_cond_wait (libc.so.6);0x7f20 (libc.so.6) 7"])
