"""Works off what is due with a worker of its own, and says what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgqueue.drained import Drained
from pgqueue.worker.run.verdict import Verdict
from pgqueue.worker.watchers import Phase
from pgqueue.worker.worker import Worker

if TYPE_CHECKING:
    from asyncpg import Record

    from pgqueue.app import App

__all__ = ["work_off"]


async def work_off(app: App, **settings: Any) -> Drained:
    """Run a worker until it is idle. ``settings``: those of Worker."""
    given: dict[str, Any] = {"summary_interval": 0, **settings}
    worker = Worker(app, **given)
    done = Drained()

    def note(record: Record, verdict: Verdict, error: BaseException | None) -> None:
        names = {"job_id": record["id"], "task": record["task"], "attempt": record["attempt"]}
        done.add(verdict.outcome, verdict.failure, **names, error=error)

    def on_phase(phase: Phase) -> None:
        if phase == "registered":  # before the first claim
            worker.machines.runner.counts.tell = note

    await worker.run(until_idle=True, on_phase=on_phase)
    statistics = worker.statistics()
    for how, count in (("completed", statistics.completed), ("cancelled", statistics.cancelled)):
        if count:
            done[how] = count
    return done
