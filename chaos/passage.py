"""A job's way through the tables, read from the audit: claims, and how each of them ended.

The rules of this file need no clock but the server's own, and no fault excuses a breach of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from chaos.findings import Findings
from chaos.story import Version

__all__ = ["Claim", "Passage", "read_passage"]

_MAX_ATTEMPTS = 25
_QUARANTINED = "quarantined"


@dataclass(slots=True)
class Claim:
    """From a claim to what ended it: completed, cancelled, dead, retried, snoozed, released,
    rescued; None while it lasts. ``why``: what the job's last error says then, after a crash.
    ``quarantined``: it was about to start, or ran, as the one to blame if its process ends."""

    token: int
    attempt: int
    at: float
    worker: int | None
    ended_at: float | None = None
    how: str | None = None
    why: str | None = None
    quarantined: bool = False


@dataclass(slots=True)
class Passage:
    """``final``: the version that ended the job, if it has ended."""

    claims: dict[int, Claim] = field(default_factory=dict)
    lives: list[tuple[int, int | None, float, float | None]] = field(default_factory=list)
    final: Version | None = None
    live: Version | None = None
    redriven: list[float] = field(default_factory=list)


class _Reader:
    def __init__(self, job: int, findings: Findings) -> None:
        self.job = job
        self.findings = findings
        self.p = Passage()
        self.claim: Claim | None = None

    def wrong(self, invariant: str, text: str, count: str | None = None) -> None:
        self.findings.violate(invariant, f"job {self.job}: {text}", count=count)

    def group(self, versions: list[Version]) -> None:
        """Take in what one transaction did to the job."""
        ends = [v for v in versions if v.op in "hx"]
        for v in versions:
            if v.op == "u":
                self.change(v)
        if any(v.op == "i" for v in versions):
            self.enter(versions)
        elif any(v.op in "HX" for v in versions):
            self.wrong("I1", "a finished job was deleted", "lost")
        if any(v.op == "d" for v in versions):
            self.leave(next(v for v in versions if v.op == "d"), ends)
        elif ends:
            self.wrong("I3", "it was entered as finished, and is live all the same")

    def enter(self, versions: list[Version]) -> None:
        """I3: a job that has ended begins anew only when an operator takes it out of there; I5: an
        id is given once."""
        (v,) = [v for v in versions if v.op == "i"] or [None]
        assert v is not None
        if self.p.live is not None:
            self.wrong("I5", "its id was given again while it was live", "fence_breaks")
        elif self.p.final is not None:
            gone = [g for g in versions if g.op in "HX"]
            if not gone:
                self.wrong("I3", "it began anew after its end, and nobody took it out of there")
            elif gone[0].op == "H" and gone[0].state != "cancelled":
                self.wrong("I3", "it began anew although it was completed")
            self.p.redriven.append(v.at)
        if v.attempt != 0 or v.crashes != 0 or v.token is not None:
            self.wrong("I7", f"it began with attempt {v.attempt}, crashes {v.crashes}")
        self.p.live, self.p.final = v, None
        self.p.lives.append((v.seq, None, v.at, None))

    def change(self, v: Version) -> None:
        before = self.p.live
        if before is None:
            self.wrong("I3", "a row changed that was not there")
            return
        if before.token is None and v.token is not None:
            self.claimed(before, v)
        elif before.token is not None and v.token is None:
            self.released(before, v)
        elif before.token != v.token:
            self.wrong("I5", "it was claimed while another claim was good", "fence_breaks")
            self.claimed(before, v)
        else:
            if (v.attempt, v.crashes) != (before.attempt, before.crashes):
                self.wrong("I7", f"attempt {before.attempt} became {v.attempt} without a claim")
            if self.claim is not None:
                self.claim.quarantined = v.state == _QUARANTINED
            if before.position is None and v.position is not None:
                self.promoted(v)
        self.p.live = v

    def claimed(self, before: Version, v: Version) -> None:
        """I5: tokens never repeat; I7: each claim counts one attempt; I12: not before it is due."""
        assert v.token is not None
        if v.token in self.p.claims:
            self.wrong("I5", "a token was given twice", "fence_breaks")
        if v.attempt != before.attempt + 1 or v.crashes != before.crashes:
            self.wrong("I7", f"a claim made attempt {before.attempt} to {v.attempt}")
        if v.attempt - v.crashes > _MAX_ATTEMPTS + 1:
            self.wrong("I7", f"claimed for attempt {v.attempt} with {v.crashes} crashes")
        self.early(v, "claimed")
        if before.position is None:
            self.wrong("I12", "it was claimed and had no position")
        self.claim = self.p.claims[v.token] = Claim(v.token, v.attempt, v.at, v.worker)

    def promoted(self, v: Version) -> None:
        self.early(v, "made ready")

    def early(self, v: Version, what: str) -> None:
        if v.run_at is not None and v.run_at > v.at:
            self.wrong("I12", f"it was {what} {v.run_at - v.at:.3f} s before it was due")

    def released(self, before: Version, v: Version) -> None:
        """I7: a retry uses up the attempt and says why; a snooze and a release do not; a crash is
        counted apart, or the job is not blamed and keeps its attempt."""
        attempt, crashes, errors = (
            v.attempt - before.attempt,
            v.crashes - before.crashes,
            v.errors - before.errors,
        )
        noted = errors == 1 or v.errors >= 20
        match (v.position is None, attempt, crashes):
            case (True, 0, 0) if noted:
                how = "retried"
            case (True, -1, 0) if errors == 0:
                how = "snoozed"
            case (False, -1, 0) if errors == 0:
                how = "released"
            case (False, 0, 1) if noted:
                how = "rescued"
            case _:
                how = "released"
                self.wrong(
                    "I7",
                    f"released {'for later' if v.position is None else 'as ready'} with "
                    f"attempt {attempt:+d}, crashes {crashes:+d}, errors {errors:+d}",
                )
        if self.claim is not None:
            self.claim.why = v.state
        self.end(v.at, how)

    def leave(self, v: Version, ends: list[Version]) -> None:
        """I1: what leaves job arrives elsewhere, once; I6: with the receipt of the last claim."""
        live = self.p.live
        if live is None:
            self.wrong("I3", "it ended twice")
        if len(ends) != 1:
            self.wrong("I1", f"it left, and arrived in {len(ends)} places", "lost")
        self.p.live = None
        if self.p.lives:
            begin, _, at, _ = self.p.lives[-1]
            self.p.lives[-1] = (begin, v.seq, at, v.at)
        if not ends:
            return
        final = self.p.final = ends[0]
        if live is not None and final.token != live.token:
            self.wrong("I6", "it ended with a token that is not its claim's", "fence_breaks")
        if final.op == "h" and final.state == "completed" and final.token is None:
            self.wrong("I6", "it was completed, and nobody had claimed it", "fence_breaks")
        if live is not None and final.attempt != live.attempt:
            self.wrong("I7", f"attempt {live.attempt} became {final.attempt} at its end")
        state = final.state if final.op == "h" else "dead"
        self.end(final.at, state or "?")

    def end(self, at: float, how: str) -> None:
        if self.claim is not None:
            self.claim.ended_at, self.claim.how = at, how
            self.claim = None


def _groups(versions: Sequence[Version]) -> Iterator[list[Version]]:
    for _, group in groupby(versions, key=lambda v: v.xid):
        yield list(group)


def read_passage(job: int, versions: Sequence[Version], findings: Findings) -> Passage:
    """Follow a job through its versions, in the order of ``seq``, and note what breaks a rule."""
    reader = _Reader(job, findings)
    for group in _groups(versions):
        reader.group(group)
    return reader.p
