"""The marks of the workers, as the harness reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from benchmarks.systems.base import Failed
from benchmarks.watch import HEAD, Marks, Stamp


def written(path: Path, jobs: int, *stamps: int) -> None:
    """What a process leaves that timed so many jobs: those beyond its room are counted alone."""
    times = b"".join(struct.pack("II", stamp, 1500) for stamp in stamps[:jobs])
    body = struct.pack("Q", len(stamps)).ljust(HEAD, b"\0") + bytes((jobs + 7) // 8 * 8)
    path.write_bytes(body + times.ljust(8 * jobs, b"\0"))


def test_stamps_after_those_that_are_known(tmp_path: Path) -> None:
    marks = Marks(tmp_path, 4)
    written(tmp_path / "1", 4, 20, 10, 30)
    assert marks.stamps({"1": 1}) == [Stamp(10, 1.5), Stamp(30, 1.5)]
    assert marks.stamps({"1": 3}) == []
    marks.close()


def test_more_jobs_than_there_is_room_for_are_a_failure_that_says_so(tmp_path: Path) -> None:
    marks = Marks(tmp_path, 4)
    written(tmp_path / "1", 4, 1, 2, 3, 4, 5, 6)
    assert marks.stamped() == 6
    with pytest.raises(Failed, match="timed 6 jobs, and there is room for 4"):
        marks.stamps({"1": 6})
    marks.close()
