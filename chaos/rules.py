"""The rules for one job: what its versions, its runs and its producer say must fit together.

Which fault may excuse what is said with each rule. ``NOT_APPLICABLE`` names the invariants of the
catalogue that nothing here can check.
"""

from __future__ import annotations

import itertools
from collections import Counter

from chaos.findings import Findings
from chaos.held import check_held
from chaos.kinds import GHOST
from chaos.passage import Claim, Passage, read_passage
from chaos.story import Run, Story
from chaos.timing import check_times
from chaos.world import World

__all__ = ["NOT_APPLICABLE", "Judge"]

NOT_APPLICABLE = {
    "I14": "there is no leader: nothing is done by term",
    "I17": "there is one schema version",
    "I19": "there are no workflows",
    "I25": "there are no results",
}

_EPSILON = 0.1  # a line of a history is written a moment after or before what it tells of
_FENCED_SECONDS = 7.0  # a blocked loop hears of it later
_WRITE_SECONDS = 7.0
_SEEN = "its process ended"
_ABOUT_TO_START = 3
_MOST_EXITS = 6
_ABORTED = frozenset({"fail", "odd", "snooze"})
_BLOCKING = frozenset({"block", "thread"})


class Judge:
    """Judges one job after the other, and keeps what rules about several jobs need."""

    def __init__(self, world: World, findings: Findings) -> None:
        self.world = world
        self.findings = findings
        self.unique_lives: dict[str, list[tuple[int, int | None, int]]] = {}
        self.unique_spans: dict[int, list[tuple[float, float | None]]] = {}
        self.duplicates: list[tuple[int, float, float]] = []
        self.blamed: Counter[int | None] = Counter()

    def judge(self, story: Story) -> None:
        """Apply every rule to one job."""
        if self._forgotten(story):
            self.findings.counts["forgotten"] += 1
            return
        job = story.job
        passage = read_passage(job, story.versions, self.findings)
        self._asked(story)
        self._ended(story, passage)
        for run in story.runs:
            self._run(job, run, passage)
        self._completed(story, passage)
        self._effects(story, passage)
        self._again(story, passage)
        check_times(story, passage, self.world, self.findings)
        check_held(story, passage, self.world, self.findings)
        self._poison(story, passage)
        self._note_unique(story, passage)

    def _wrong(self, invariant: str, job: int, text: str, count: str | None = None) -> None:
        self.findings.violate(invariant, f"job {job}: {text}", count=count)

    def _forgotten(self, story: Story) -> bool:
        """True if a server may have taken it back, and it is gone, or another has its id now: the
        sequence went back, too."""
        told = [e for e in story.enqueues if e.y == "ok" and e.t1 is not None]
        keys = {v.key for v in story.versions if v.op == "i"}
        return any(
            e.key not in keys and not e.duplicate and self.world.forgotten.meet(e.t0, e.t1 or e.t0)
            for e in told
        )

    # -- the enqueue

    def _asked(self, story: Story) -> None:
        """I2: a job that runs was asked for, and not by an enqueue that was refused or rolled back.

        An enqueue that is open (``info``) may be there or not; one that is counts as recovered.
        I1: one that was acknowledged is there. No fault excuses either. The jobs of schedules are
        judged in ``chaos.slots``.
        """
        own = [e for e in story.enqueues if not e.duplicate]
        if story.versions and not own and story.job not in self.world.scheduled:
            self._wrong("I2", story.job, "nobody asked for it", "unexpected")
        for enqueue in own:
            if not story.versions:
                self._wrong(
                    "I1", story.job, f"acknowledged ({enqueue.kind}), and never seen", "lost"
                )
            elif enqueue.y == "fail":
                self._wrong("I2", story.job, "it is there, though its enqueue failed", "unexpected")
            elif enqueue.y == "info":
                self.findings.counts["recovered"] += 1
        if len(own) > 1:
            self._wrong("I5", story.job, "two enqueues were given its id", "fence_breaks")
        if story.runs and not story.versions:
            self._wrong("I2", story.job, "it ran, and was never there", "unexpected")

    def _ended(self, story: Story, passage: Passage) -> None:
        """I1: after the drain every job has ended, but those of a task that nobody knows, which
        have not been touched (F39)."""
        if passage.final is not None:
            state = passage.final.state if passage.final.op == "h" else "dead"
            self.findings.counts[state or "?"] += 1
            return
        live = passage.live
        if live is None:
            return
        if story.kind == GHOST:
            self.findings.counts["unknown task"] += 1
            if live.attempt or live.token is not None:
                self._wrong("I7", story.job, "a task that nobody knows was claimed")
            return
        where = "running" if live.token is not None else "ready" if live.position else "scheduled"
        self._wrong("I1", story.job, f"{story.kind} is {where} after the drain", "stuck")

    # -- runs

    def _run(self, job: int, run: Run, passage: Passage) -> None:
        """I5: a run holds a claim, made before it began. Claims are committed without a flush: a
        crash of the server may take back one whose answer was given."""
        self.findings.counts["starts"] += 1
        claim = passage.claims.get(run.token)
        if claim is None:
            if not self.world.faults.meet(run.t0 - 2.0, run.t0 + 2.0):
                self._wrong("I5", job, "it ran with a token that no claim gave", "fence_breaks")
            return
        if self.world.honest_clocks and run.t0 < claim.at - _EPSILON:
            self._wrong("I5", job, "it ran before it was claimed", "fence_breaks")
        if run.attempt != claim.attempt:
            self._wrong("I7", job, f"ran as attempt {run.attempt}, claimed as {claim.attempt}")
        self._written(job, run, claim)
        self._fenced(job, run)

    def _written(self, job: int, run: Run, claim: Claim) -> None:
        """I16: what a run came to is written soon, whatever other jobs are. Any fault excuses."""
        if run.t1 is None or claim.ended_at is None or not self.world.honest_clocks:
            return
        late = claim.ended_at - run.t1
        if late > _WRITE_SECONDS and not self.world.faults.meet(run.t1 - 1.0, claim.ended_at):
            self._wrong("I16", job, f"its outcome ({run.r}) was written {late:.1f} s after its end")

    def _fenced(self, job: int, run: Run) -> None:
        """I9: a worker that lost its lease ends what it runs; blocking code it cannot."""
        if run.kind in _BLOCKING or run.t1 is None:
            return
        for at in self.world.fenced.get(run.process, ()):
            if run.t0 < at and run.t1 > at + _FENCED_SECONDS:
                self._wrong(
                    "I9", job, f"it ran on for {run.t1 - at:.1f} s after the lease was lost"
                )

    def _completed(self, story: Story, passage: Passage) -> None:
        """I6: who completes a job has run it to its end, with the token that stands in history.

        No fault excuses; the times are not compared where a clock was turned.
        """
        final = passage.final
        if final is None or final.op != "h" or final.state != "completed":
            return
        mine = [run for run in story.runs if run.token == final.token]
        if not mine:
            self._wrong("I1", story.job, f"{story.kind} was completed and never started", "lost")
            return
        run = mine[-1]
        if len(mine) > 1:
            self._wrong("I4", story.job, "one claim was run twice", "needless_duplicates")
        if run.r == "tx" or any(effect.token == final.token for effect in story.effects):
            return
        if run.r != "ok":
            self._wrong("I6", story.job, f"completed, but its run ended as {run.r}", "fence_breaks")
        elif self.world.honest_clocks and run.t1 is not None and final.at < run.t1 - _EPSILON:
            self._wrong("I6", story.job, "it was completed before its run ended", "fence_breaks")

    def _effects(self, story: Story, passage: Passage) -> None:
        """I11: a job that completes in a transaction leaves one effect, of the run that completed
        it; one that does not complete leaves none. No fault excuses."""
        if story.kind != "effect":
            return
        final = passage.final
        done = final is not None and final.op == "h" and final.state == "completed"
        tokens = [effect.token for effect in story.effects]
        if done and tokens != [final.token]:  # type: ignore[union-attr]
            foreign = [token for token in tokens if token != final.token]  # type: ignore[union-attr]
            self._wrong(
                "I11", story.job,
                f"completed with {len(tokens)} effects, {len(foreign)} of other runs",
                "fence_breaks",
            )  # fmt: skip
        elif not done and tokens:
            self._wrong("I11", story.job, "not completed, and has an effect", "fence_breaks")

    # -- again

    def _again(self, story: Story, passage: Passage) -> None:
        """I4, I8: a job runs again only after a failure, a snooze, a release, a redrive, or a fault
        that lies between the two starts, and may have struck the process that ran it."""
        runs = story.runs
        for before, after in itertools.pairwise(runs):
            overlap = before.t1 is not None and after.t0 < before.t1 - _EPSILON
            claim = passage.claims.get(before.token)
            if before.r in _ABORTED and not overlap:
                continue
            if claim is not None and claim.how == "released" and before.r == "cancelled":
                self.findings.counts["released"] += 1
                continue
            if any(before.t0 < at < after.t0 for at in passage.redriven):
                continue
            self.findings.counts["duplicated"] += 1
            if before.r is None:
                seen = self.world.last_lines.get(before.process, before.t0)
                what = f"job {story.job} ({story.kind}), {before.process}"
                self.findings.recovered_after(after.t0 - max(before.t0, seen), what)
            if not self._excused(before, after, passage):
                self._wrong(
                    "I4", story.job,
                    f"{story.kind} ran again without need, {after.t0 - before.t0:.2f} s after it "
                    f"had started, its first run having ended as {before.r}"
                    f"{', both at a time' if overlap else ''}",
                    "needless_duplicates",
                )  # fmt: skip

    def _excused(self, before: Run, after: Run, passage: Passage) -> bool:
        """True if a fault may be why it ran again: one of the first run's process, or of the
        second's, which was frozen with the older claim and began it when it went on."""
        if self.world.excuses(before.process, before.t0, after.t0):
            return True
        newer, older = passage.claims.get(before.token), passage.claims.get(after.token)
        return (
            newer is not None
            and older is not None
            and older.at < newer.at
            and self.world.excuses(after.process, older.at, after.t0)
        )

    # -- what ends its worker

    def _poison(self, story: Story, passage: Passage) -> None:
        """I15: a job that ends its worker each time is dead after a few runs. Beside another of its
        kind it may have to end more workers than its cap, since that one is blamed. The end of a
        worker that was told to stop counts against nobody."""
        if story.kind != "exit":
            self._innocent(story, passage)
            return
        ends = sum(not self._in_a_stop(run, passage) for run in story.runs)
        if ends > _MOST_EXITS:
            self._wrong("I15", story.job, f"it ended {ends} workers")
        if passage.final is not None and passage.final.op != "x":
            self._wrong("I15", story.job, f"a job that ends its worker is {passage.final.state}")

    def _in_a_stop(self, run: Run, passage: Passage) -> bool:
        """True if its process was struck while it ran, and the job was released uncounted."""
        claim = passage.claims.get(run.token)
        return (
            claim is not None
            and claim.how == "released"
            and self.world.excuses(run.process, run.t0, run.t0)
        )

    def _innocent(self, story: Story, passage: Passage) -> None:
        """I15 (F35): a job that was running whenever its worker died may be buried for that, if
        faults killed it so often. One that had not started when its worker died for the last time
        may not, unless it was about to, nor be blamed where its supervisor saw it die: see
        ``judge_blame``. An operator may have redriven it since."""
        ran = {run.token for run in story.runs}
        for token, claim in passage.claims.items():
            if claim.how == "rescued" and token not in ran:
                self.findings.counts["blamed unstarted"] += 1
                if _SEEN in (claim.why or ""):
                    self.blamed[claim.worker] += 1
        for grave in (version for version in story.versions if version.op == "x"):
            self.findings.counts["innocent dead"] += 1
            if self.world.quiet:
                self._wrong("I15", story.job, f"{story.kind} is dead: {grave.state}")
            elif "its worker died" in (grave.state or "") and grave.token not in ran:
                claim = passage.claims.get(grave.token or 0)
                if claim is not None and claim.quarantined:
                    self.blamed[claim.worker] += 1
                else:
                    text = f"{story.kind} is dead for a crash in which it had not started"
                    self._wrong("I15", story.job, text)

    def judge_blame(self) -> None:
        """I15: no job is blamed for the end of a process that its supervisor saw, in which it had
        not started. One may have been about to write that it does, as may one in a thread."""
        for worker, jobs in self.blamed.items():
            if jobs > _ABOUT_TO_START:
                self.findings.violate(
                    "I15", f"worker {worker} died, and {jobs} jobs are blamed that had not started"
                )

    # -- unique keys

    def _note_unique(self, story: Story, passage: Passage) -> None:
        key = next((v.unique for v in story.versions if v.unique), None)
        if key is not None:
            lives = self.unique_lives.setdefault(key, [])
            lives += [(begin, end, story.job) for begin, end, _, _ in passage.lives]
            self.unique_spans[story.job] = [(begin, end) for _, _, begin, end in passage.lives]
        self.duplicates += [
            (story.job, e.t0, e.t1) for e in story.enqueues if e.duplicate and e.t1 is not None
        ]

    def judge_unique(self) -> None:
        """I10: at most one live job a key; who is told of a duplicate, there was a live one."""
        for key, lives in self.unique_lives.items():
            lives.sort()
            for (_, end, one), (begin, _, other) in itertools.pairwise(lives):
                if end is None or begin < end:
                    self._wrong("I10", other, f'it is live beside job {one}, both with "{key}"')
        for job, asked, answered in self.duplicates:
            spans = self.unique_spans.get(job, [])
            if not any(
                begin <= answered + 1.0 and (end is None or end >= asked - 1.0)
                for begin, end in spans
            ):
                self._wrong("I10", job, "named as the live one of its key when it was not")
