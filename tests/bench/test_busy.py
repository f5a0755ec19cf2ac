"""Busy loops beside a measurement: they run, they end, and the rows say so."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.__main__ import main
from benchmarks.busy import beside, busy
from benchmarks.procs import tree_cpu
from benchmarks.rows import row

ROOT = Path(__file__).resolve().parents[2]


def alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_loops_use_cpu_until_the_body_ends() -> None:
    with busy(2) as pids:
        assert len(pids) == 2
        for pid in pids:
            begun = tree_cpu([pid])
            while tree_cpu([pid]) < begun + 0.05:
                assert alive(pid)
                time.sleep(0.01)
    assert not any(map(alive, pids))


def test_loops_end_when_the_body_raises() -> None:
    pids: list[int] = []

    def interrupted() -> None:
        with busy(1) as running:
            pids.extend(running)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert pids
    assert not any(map(alive, pids))


def test_loops_end_when_their_parent_is_killed() -> None:
    code = """
import sys
from benchmarks.busy import busy
with busy(1) as pids:
    print(*pids, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    while alive(pid):
        time.sleep(0.01)


def test_rows_say_how_many_loops_ran_beside() -> None:
    plain = [row("w", "s", "f", 1.0, "ms"), row("w", "s", "f", 1.0, "ms", note="said")]
    assert beside(plain, 0) == plain
    assert [one.note for one in beside(plain, 1)] == [
        "beside 1 busy loop",
        "beside 1 busy loop; said",
    ]
    assert beside(plain, 2)[0].note == "beside 2 busy loops"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--busy", "-1"), "-1 is no number of loops"),
        (("--busy", "two"), "invalid"),
        (("--concurrency", "0"), "is no number of slots"),
        (("--sizes", "0"), "is no size of a fleet"),
    ],
)
def test_wrong_options_are_refused(
    option: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["fleet", *option])
    assert said in capsys.readouterr().err
