"""Histories are read as they were left, whatever killed the process that wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chaos.history import History
from chaos.load import Diary, enqueues, read_lines, runs
from chaos.windows import Windows


def written(path: Path, *lines: dict[str, Any], cut: str = "") -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + cut)
    return path


def invoke(op: int, *keys: int) -> dict[str, Any]:
    kinds = ["noop"] * len(keys)
    return {
        "f": "enq", "y": "invoke", "o": op, "ks": keys, "ns": kinds,
        "us": {"0": "u1"}, "ds": {}, "t": 1.0,
    }  # fmt: skip


def test_a_line_is_written_as_a_whole(tmp_path: Path) -> None:
    history = History(tmp_path, "role")
    history.write(f="start", j=1)
    history.write(f="end", j=1)
    history.close()
    assert [line["f"] for line in read_lines(history.path)] == ["start", "end"]


def test_a_last_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a", {"f": "start"}, cut='{"f":"en')
    assert list(read_lines(path)) == [{"f": "start"}]


def test_an_enqueue_without_an_end_is_unknown(tmp_path: Path) -> None:
    path = written(
        tmp_path / "producer-tx-1-a.jsonl",
        invoke(1, 10, 11),
        {"f": "enq", "y": "ok", "o": 1, "js": [5, 6], "dups": [1], "t": 2.0},
        invoke(2, 12),
        {"f": "enq", "y": "fail", "o": 2, "t": 3.0},
        invoke(3, 13),
    )
    diary = Diary()
    rows = {row[0]: row for row in enqueues(path, diary)}
    assert rows[10] == (10, 5, "noop", "u1", None, "ok", False, 1.0, 2.0, "tx")
    assert (rows[11][1], rows[11][6]) == (6, True)
    assert (rows[12][1], rows[12][5]) == (None, "fail")
    assert (rows[13][5], rows[13][8]) == ("info", None)
    assert (diary.attempts, diary.acknowledged, diary.failed, diary.unknown) == (4, 2, 1, 1)
    assert diary.skipped == 1


def test_a_run_without_an_end_is_open(tmp_path: Path) -> None:
    start = {"f": "start", "j": 5, "c": 100, "a": 1, "k": 10, "n": "noop"}
    path = written(
        tmp_path / "worker-0-1-a.jsonl",
        {**start, "t": 1.0},
        {"f": "end", "j": 5, "c": 100, "r": "ok", "t": 2.0},
        {**start, "j": 6, "t": 3.0},
        {**start, "j": 6, "t": 4.0},
    )
    diary = Diary()
    found = [(row[0], row[5], row[6], row[7]) for row in runs(path, diary)]
    assert found == [(5, 1.0, 2.0, "ok"), (6, 3.0, None, None), (6, 4.0, None, None)]
    assert diary.last_lines == {"worker-0-1-a": 4.0}


def test_windows_meet_and_hold() -> None:
    windows = Windows([(5.0, 6.0), (1.0, 2.0), (1.5, 3.0)])
    assert len(windows) == 2
    assert windows.meet(2.9, 4.0)
    assert windows.meet(0.0, 9.0)
    assert not windows.meet(3.1, 4.9)
    assert windows.hold(1.2, 2.8)
    assert not windows.hold(2.0, 5.5)
    assert windows.total() == 3.0


def test_the_longest_gap_between_windows() -> None:
    windows = Windows([(1.0, 2.0), (5.0, 6.0)])
    assert windows.longest_gap(0.0, 10.0) == 4.0
    assert windows.longest_gap(1.5, 5.5) == 3.0
    assert windows.longest_gap(2.5, 3.0) == 0.5
    assert windows.longest_gap(1.2, 1.8) == 0.0
    assert windows.longest_gap(7.0, float("inf")) == float("inf")
    assert Windows().longest_gap(1.0, 3.0) == 2.0
