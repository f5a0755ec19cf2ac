"""The table and the report of several runs: sums, the worst of times, and what was violated."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from chaos.campaign import Part
from chaos.checker import Verdict, verdict
from chaos.findings import Findings
from chaos.load import Diary
from chaos.totals import report, table
from chaos.world import World


def part(name: str, faults: int, *violations: str, **counts: int) -> Part:
    findings = Findings()
    findings.counts.update(counts)
    for violation in violations:
        findings.violate("I1", violation)
    made: Verdict = verdict(Diary(attempts=10), World(), findings)
    return Part(name, 30.0, made, Counter(reset=faults))


def cells(text: str, name: str) -> list[str]:
    return next(line.split()[1:] for line in text.splitlines() if line.split()[:1] == [name])


def test_counts_are_added_up_and_violations_named() -> None:
    parts = [part("plain", 3, lost=0), part("hostile", 2, "key 7 is lost", lost=1)]
    text = table(parts)
    assert cells(text, "attempts") == ["20", "10", "10"]
    assert cells(text, "lost") == ["1", "0", "1"]
    assert cells(text, "violations") == ["1", "0", "1"]
    assert "hostile: I1 violated 1 times:" in text
    assert "key 7 is lost" in text


def test_the_report_names_seed_machine_and_faults(tmp_path: Path) -> None:
    report([part("plain", 3), part("hostile", 2)], 17, tmp_path)
    document: dict[str, Any] = json.loads((tmp_path / "campaign.json").read_text())
    assert document["ok"]
    assert document["seed"] == "17"
    assert document["faults"] == {"reset": 5}
    text = (tmp_path / "campaign.md").read_text()
    assert "| reset | 5 |" in text
    assert "- seed: 17" in text
    assert "cores" in text
