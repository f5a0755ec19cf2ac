"""The table of figures: what is in it, and what counts as met."""

from __future__ import annotations

import json
from pathlib import Path

from chaos.figures.row import Row
from chaos.figures.schedule import FIGURES, QUICK_STAGES, STAGES, THROUGHOUT
from chaos.figures.table import as_text, write_report


def test_every_figure_has_its_place() -> None:
    for stages in (STAGES, QUICK_STAGES):
        names = [*THROUGHOUT, *(name for stage in stages for name in stage)]
        assert sorted(names) == sorted(FIGURES)


def test_the_report_has_every_row(tmp_path: Path) -> None:
    rows = [
        Row(figure="killed: elsewhere after", value=0.04, unit="s", target=2.0, note="of 20"),
        Row(figure="vanished", value=None, unit="s", target=20.0, note="no root", skipped=True),
        Row(figure="jobs that ran twice", value=1, unit="jobs", target=0),
    ]
    write_report(tmp_path, rows, {"seed": 4})
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert [row["ok"] for row in kept["rows"]] == [True, None, False]
    assert kept["about"] == {"seed": 4}
    page = (tmp_path / "figures.md").read_text()
    assert "| killed: elsewhere after | 0.04 s | <= 2 s | met | of 20 |" in page
    assert "| vanished | skipped | <= 20 s | - | no root |" in page
    assert "| jobs that ran twice | 1 jobs | <= 0 jobs | MISSED |  |" in page
    assert "MISSED" in as_text(rows)


def test_a_target_is_the_most_that_may_be() -> None:
    def ok(value: float | None, *, skipped: bool = False) -> bool | None:
        return Row(figure="f", value=value, unit="s", target=2.0, skipped=skipped).ok

    assert ok(2.0) is True
    assert ok(2.01) is False
    assert ok(None) is False
    assert ok(None, skipped=True) is None
