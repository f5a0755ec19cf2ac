"""The benchmarks still work: every workload, with a handful of jobs, untimed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"workload", "system", "figure", "value", "unit", "target", "ok"}
WORKLOADS = {"drain", "bulk", "single", "contention", "latency", "flat", "many", "io", "idle"}


def test_all_workloads(tmp_path: Path) -> None:
    figures, report = tmp_path / "figures.json", tmp_path / "report"
    command = [sys.executable, "-m", "benchmarks", "all", "--quick", "--jobs", "100"]
    done = subprocess.run(
        [*command, "--json", str(figures), "--report", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
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
