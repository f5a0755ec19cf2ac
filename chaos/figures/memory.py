"""A job that takes memory until the kernel kills its worker, in a control group with a limit."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from chaos.figures.place import Bench
from chaos.figures.row import Row

__all__ = ["memory"]

_V1 = Path("/sys/fs/cgroup/memory")
_LIMIT = 300 * 2**20
_CRASHES = 3
_SECONDS = 60.0


def memory(bench: Bench) -> list[Row]:
    """Neighbours keep coming while it is tried, beside it and in the other process."""
    dead = "a job that kills its worker by memory: crashes until it is dead"
    innocent = "a job that kills its worker by memory: innocent neighbours that did not complete"
    try:
        with _group() as group, bench.place("memory") as place:
            enter = ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
            with place.host(prefix=enter) as host:
                host.until_ready()
                beside = place.enqueue_many("linger", [{"seconds": 1.0}] * 10)
                killer = place.enqueue("devour")
                began = time.monotonic()
                while place.rows("select count(*) from pgqueue.job where id = %s", killer)[0][0]:
                    beside.append(place.enqueue("linger", seconds=0.5))
                    time.sleep(0.1)
                    if time.monotonic() > began + _SECONDS:
                        raise RuntimeError("the job is not dead")
                took = time.monotonic() - began
                states = place.until_finished(beside, timeout_s=60.0)
                row = place.rows(
                    "select state, crash_count from pgqueue.jobs where id = %s", killer
                )[0]
            kills = _kills(group)
    except OSError as exc:
        return [
            Row(figure=name, value=None, unit="jobs", target=0, note=str(exc), skipped=True)
            for name in (dead, innocent)
        ]
    note = f"{row[0]} after {took:.1f} s, {kills} kills by the kernel"
    counted = row[1] if row[0] == "dead" and kills >= _CRASHES else None
    return [
        Row(figure=dead, value=counted, unit="jobs", target=_CRASHES, note=note),
        Row(
            figure=innocent,
            value=sum(state != "completed" for state in states.values()),
            unit="jobs",
            target=0,
            note=f"of {len(states)}",
        ),
    ]


@contextmanager
def _group() -> Generator[Path]:
    """A group of the first version of control groups, which takes root."""
    group = _V1 / f"pgqueue-figures-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(_LIMIT))
        yield group
    finally:
        group.rmdir()


def _kills(group: Path) -> int:
    words = (group / "memory.oom_control").read_text().split()
    return int(words[words.index("oom_kill") + 1])
