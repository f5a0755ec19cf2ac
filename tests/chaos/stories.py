"""Jobs' stories made up by hand: one in which all is well, and words to spoil it with."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from chaos.findings import Findings
from chaos.rules import Judge
from chaos.story import Effect, Enqueue, Run, Story, Version
from chaos.world import World

__all__ = ["JOB", "Audit", "completed", "violations"]

JOB = 7


class Audit:
    """Versions of a job, written one after the other; each call is a transaction of its own."""

    def __init__(self, kind: str = "noop", unique: str | None = None) -> None:
        self.versions: list[Version] = []
        self._seq = itertools.count(1)
        self._now = Version(0, 0.0, 0, "i", position=1, run_at=0.0, key=1, task=kind, unique=unique)

    def add(self, at: float, *ops: str, xid: int | None = None, **changes: Any) -> Audit:
        """Note what a transaction did: ``ops`` with these changes to what was there before."""
        self._now = replace(self._now, at=at, **changes)
        seqs = [next(self._seq) for _ in ops]
        for seq, op in zip(seqs, ops, strict=True):
            self.versions.append(replace(self._now, seq=seq, xid=xid or seqs[0], op=op))
        return self

    def enter(self, at: float = 1.0, **changes: Any) -> Audit:
        return self.add(at, "i", **changes)

    def claim(self, at: float, token: int, **changes: Any) -> Audit:
        values = {"token": token, "worker": 1, "attempt": self._now.attempt + 1, **changes}
        return self.add(at, "u", **values)

    def quarantined(self, at: float) -> Audit:
        return self.add(at, "u", state="quarantined")

    def release(self, at: float, **changes: Any) -> Audit:
        return self.add(at, "u", token=None, worker=None, **changes)

    def released(self, at: float) -> Audit:
        return self.release(at, attempt=self._now.attempt - 1)

    def rescued(self, at: float, why: str = "no heartbeat") -> Audit:
        return self.release(
            at, crashes=self._now.crashes + 1, errors=self._now.errors + 1, state=why
        )

    def retried(self, at: float, due: float) -> Audit:
        return self.release(at, position=None, run_at=due, errors=self._now.errors + 1)

    def promoted(self, at: float) -> Audit:
        return self.add(at, "u", position=2)

    def finish(self, at: float, state: str = "completed", **changes: Any) -> Audit:
        return self.add(at, "d", "h", state=state, **changes)

    def bury(self, at: float, state: str = "failed", **changes: Any) -> Audit:
        return self.add(at, "d", "x", state=state, **changes)


def completed(kind: str = "noop") -> Story:
    """A job that was enqueued, ran once and was completed."""
    audit = Audit(kind).enter(1.0).claim(2.0, 100).finish(3.0)
    story = Story(
        JOB,
        enqueues=[Enqueue(1, kind, "ok", 0.9, 1.1)],
        versions=audit.versions,
        runs=[Run(100, 1, kind, 2.1, 2.9, "ok", "worker-0-1-a")],
    )
    if kind == "effect":
        story.effects = [Effect(100, 3.0)]
        story.runs[0].r = "tx"
    return story


def violations(*stories: Story, world: World | None = None) -> Findings:
    """What the checker finds in these."""
    findings = Findings()
    judge = Judge(world or World(), findings)
    for story in stories:
        judge.judge(story)
    judge.judge_unique()
    judge.judge_blame()
    return findings
