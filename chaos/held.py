"""The rule about jobs that are `running` with a worker that does not know of them.

Nobody but that worker could release them, since its lease is renewed.
"""

from __future__ import annotations

from chaos.findings import Findings
from chaos.passage import Passage
from chaos.story import Story
from chaos.world import World

__all__ = ["check_held"]

# Two looks, a lease apart at most (3 s), and the write.
_KNOWN_SECONDS = 8.0
_FOR_EVER = float("inf")


def check_held(story: Story, passage: Passage, world: World, findings: Findings) -> None:
    """I27: a claim whose job does not begin ends soon. Faults excuse, while they and their effects
    last; so do blocked loops, which begin nothing."""
    if not world.honest_clocks:
        return
    ran = {run.token for run in story.runs}
    for token, claim in passage.claims.items():
        if token in ran:
            continue
        until = _FOR_EVER if claim.ended_at is None else claim.ended_at
        undisturbed = min(
            windows.longest_gap(claim.at, until) for windows in (world.faults, world.slow)
        )
        if undisturbed > _KNOWN_SECONDS:
            findings.violate(
                "I27",
                f"job {story.job}: {story.kind} was held for {until - claim.at:.1f} s by worker "
                f"{claim.worker}, and did not begin",
            )
