"""The rules about time: not before it is due, soon after it is ready, soon over when cancelled."""

from __future__ import annotations

from chaos.findings import Findings
from chaos.passage import Passage
from chaos.story import Enqueue, Story
from chaos.world import World

__all__ = ["check_times"]

_WAKE_SECONDS = 3.0
_CANCEL_SECONDS = 8.0  # a blocked loop hears of it later


def check_times(story: Story, passage: Passage, world: World, findings: Findings) -> None:
    """Apply the rules about time to one job."""
    _due(story, world, findings)
    _woken(story, world, findings)
    _cancelled(story, passage, world, findings)


def _wrong(findings: Findings, invariant: str, story: Story, text: str) -> None:
    findings.violate(invariant, f"job {story.job}: {text}")


def _due(story: Story, world: World, findings: Findings) -> None:
    """I12: not before the delay that the producer asked for, by the clock of the processes."""
    if story.job in world.retried or not story.runs:
        return
    for enqueue in story.enqueues:
        if enqueue.delay and not enqueue.duplicate:
            early = enqueue.t0 + enqueue.delay - story.runs[0].t0
            if early > 0.01:
                _wrong(findings, "I12", story, f"it started {early:.2f} s before it was due")


def _woken(story: Story, world: World, findings: Findings) -> None:
    """I18 (and the second half of I12): what is ready while the queue is empty and nothing is
    wrong starts at once, not at the next poll."""
    if story.kind not in ("noop", "later") or story.job in world.retried:
        return
    for enqueue in story.enqueues:
        ready = _ready_at(enqueue)
        if ready is None:
            continue
        start = story.runs[0].t0 if story.runs else ready + 60.0
        until = min(start, ready + _WAKE_SECONDS + 1.0)
        if (
            not world.calm.hold(enqueue.t0, until)
            or world.faults.meet(enqueue.t0 - 1.0, until)
            or world.slow.meet(enqueue.t0 - 1.0, until)
        ):
            continue
        findings.counts["woken"] += 1
        findings.max_wake = max(findings.max_wake, min(start - ready, 60.0))
        if start - ready > _WAKE_SECONDS:
            _wrong(findings, "I18", story, f"{story.kind} started {start - ready:.1f} s late")


def _cancelled(story: Story, passage: Passage, world: World, findings: Findings) -> None:
    """F45: a cancelled job ends as cancelled, or as what it had come to before; a running one
    ends soon, unless a fault is in the way."""
    asked = world.cancels.get(story.job)
    if asked is None:
        return
    at, state = asked
    final = passage.final
    if state == "cancelled" and (final is None or final.state != "cancelled"):
        _wrong(findings, "F45", story, "a cancel was acknowledged, and it is not cancelled")
    if state == "requested":
        for run in story.runs:
            if run.t0 > at + _CANCEL_SECONDS and not world.faults.meet(at, run.t0):
                _wrong(findings, "F45", story, "it was started long after its cancel")
            late = (run.t1 or world.last_lines.get(run.process, 0.0)) - at
            if (
                run.t0 < at
                and late > _CANCEL_SECONDS
                and not world.faults.meet(at, at + _CANCEL_SECONDS)
            ):
                _wrong(findings, "F45", story, f"it ran on for {late:.1f} s after its cancel")


def _ready_at(enqueue: Enqueue) -> float | None:
    """When a job was ready for all to see."""
    if enqueue.y != "ok" or enqueue.duplicate or enqueue.t1 is None:
        return None
    return max(enqueue.t1, enqueue.t0 + (enqueue.delay or 0.0))
