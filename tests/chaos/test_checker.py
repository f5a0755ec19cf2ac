"""The checker finds each violation in a story made up for it, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from chaos.story import Effect, Enqueue, Run, Story
from chaos.windows import Windows
from chaos.world import World
from tests.chaos.stories import JOB, Audit, completed, violations

PROCESS = "worker-0-1-a"


def of(story: Story, audit: Audit) -> Story:
    story.versions = audit.versions
    return story


def run(token: int, t0: float, t1: float | None, r: str | None = "ok", attempt: int = 1) -> Run:
    return Run(token, attempt, "noop", t0, t1, r, PROCESS)


# -- stories without a violation


def retried() -> Story:
    """It failed, and ran again when it was due."""
    audit = Audit().enter().claim(2.0, 100).retried(2.5, due=4.0).promoted(4.1)
    story = of(completed(), audit.claim(4.2, 101).finish(5.0))
    story.runs = [run(100, 2.1, 2.4, "fail"), run(101, 4.3, 4.9, attempt=2)]
    return story


def snoozed() -> Story:
    audit = Audit().enter().claim(2.0, 100).release(2.5, position=None, run_at=3.0, attempt=0)
    story = of(completed(), audit.promoted(3.1).claim(3.2, 101).finish(4.0))
    story.runs = [run(100, 2.1, 2.4, "snooze"), run(101, 3.3, 3.9)]
    return story


def released() -> Story:
    """A stop interrupted it: the attempt does not count."""
    audit = Audit().enter().claim(2.0, 100).released(2.5)
    story = of(completed(), audit.claim(3.2, 101).finish(4.0))
    story.runs = [run(100, 2.1, 2.4, "cancelled"), run(101, 3.3, 3.9)]
    return story


def redriven() -> Story:
    audit = Audit().enter().claim(2.0, 100).bury(3.0)
    audit.add(4.0, "i", "X", token=None, worker=None, attempt=0, crashes=0)
    story = of(completed(), audit.claim(5.0, 101).finish(6.0))
    story.runs = [run(100, 2.1, 2.9, "fail"), run(101, 5.1, 5.9)]
    return story


def cancelled() -> Story:
    story = of(completed(), Audit().enter().finish(2.0, "cancelled"))
    story.runs = []
    return story


def rolled_back() -> Story:
    return Story(JOB, enqueues=[Enqueue(1, "noop", "fail", 0.9, 1.1)])


def unknown_and_there() -> Story:
    story = completed()
    story.enqueues[0].y = "info"
    return story


def effect() -> Story:
    return completed("effect")


def effect_killed_before_it_was_noted() -> Story:
    """The process died between the commit and the line that tells of it."""
    story = completed("effect")
    story.runs[0] = replace(story.runs[0], t1=None, r=None)
    return story


def of_no_task() -> Story:
    story = of(completed("ghost"), Audit("ghost").enter())
    story.runs = []
    return story


CLEAN = (
    completed, retried, snoozed, released, redriven, cancelled, unknown_and_there, effect,
    effect_killed_before_it_was_noted, of_no_task,
)  # fmt: skip


@pytest.mark.parametrize("make", CLEAN)
def test_a_story_without_a_violation_passes(make: Callable[[], Story]) -> None:
    found = violations(make())
    assert found.ok, found.samples


def test_what_was_rolled_back_and_is_not_there_is_no_violation() -> None:
    story = rolled_back()
    story.enqueues.clear()  # an enqueue without an id belongs to no job
    assert violations(story).ok


def test_counts() -> None:
    found = violations(completed(), unknown_and_there(), cancelled(), of_no_task())
    assert found.counts["completed"] == 2
    assert found.counts["recovered"] == 1
    assert found.counts["cancelled"] == 1
    assert found.counts["unknown task"] == 1


# -- stories with one


def lost() -> Story:
    """Acknowledged, and never seen."""
    story = completed()
    story.versions, story.runs = [], []
    return story


def stuck() -> Story:
    return of(completed(), Audit().enter().claim(2.0, 100))


def vanished() -> Story:
    """Taken out of job, and entered nowhere."""
    return of(completed(), Audit().enter().claim(2.0, 100).add(3.0, "d"))


def in_two_places() -> Story:
    return of(completed(), Audit().enter().claim(2.0, 100).add(3.0, "d", "h", "x"))


def never_started() -> Story:
    story = completed()
    story.runs = []
    return story


def unasked() -> Story:
    story = completed()
    story.enqueues = []
    return story


def there_though_it_failed() -> Story:
    story = completed()
    story.enqueues[0].y = "fail"
    return story


def changed_after_its_end() -> Story:
    return of(completed(), Audit().enter().claim(2.0, 100).finish(3.0).add(4.0, "u"))


def ended_twice() -> Story:
    return of(completed(), Audit().enter().claim(2.0, 100).finish(3.0).finish(4.0))


def begun_anew() -> Story:
    audit = Audit().enter().claim(2.0, 100).finish(3.0)
    audit.add(4.0, "i", token=None, worker=None, attempt=0)
    return of(completed(), audit.claim(5.0, 101).finish(6.0))


def revived_though_completed() -> Story:
    audit = Audit().enter().claim(2.0, 100).finish(3.0)
    audit.add(4.0, "i", "H", token=None, worker=None, attempt=0)
    return of(completed(), audit.claim(5.0, 101).finish(6.0))


def again_without_need() -> Story:
    """It was rescued, and no fault lies between its two starts."""
    story = of(
        completed(), Audit().enter().claim(2.0, 100).rescued(3.0).claim(4.0, 101).finish(6.0)
    )
    story.runs = [run(100, 2.1, None, None), run(101, 4.1, 5.0, attempt=2)]
    return story


def twice_for_one_claim() -> Story:
    story = completed()
    story.runs = [run(100, 2.1, 2.5), run(100, 2.6, 2.9)]
    return story


def claimed_twice() -> Story:
    """A claim took it while another was good."""
    story = of(completed(), Audit().enter().claim(2.0, 100).claim(2.5, 101).finish(3.0))
    story.runs = [run(101, 2.6, 2.9, attempt=2)]
    return story


def token_twice() -> Story:
    audit = Audit().enter().claim(2.0, 100).retried(2.5, due=2.6).promoted(2.7)
    story = of(completed(), audit.claim(2.8, 100).finish(4.0))
    story.runs = [run(100, 2.1, 2.4, "fail"), run(100, 3.0, 3.5, attempt=2)]
    return story


def id_twice() -> Story:
    return of(completed(), Audit().enter().enter(1.5).claim(2.0, 100).finish(3.0))


def unclaimed() -> Story:
    """It ran with a token that no claim gave."""
    story = completed()
    story.runs.append(run(999, 2.2, 2.3, "fail"))
    return story


def completed_by_another() -> Story:
    """A late completion took the place of that of the run that holds the claim."""
    story = of(
        completed(), Audit().enter().claim(2.0, 100).rescued(3.0).claim(4.0, 101).finish(5.0)
    )
    story.runs = [run(100, 2.1, 4.9), run(101, 4.1, 6.0, attempt=2)]
    return story


def completed_though_it_failed() -> Story:
    story = completed()
    story.runs[0].r = "fail"
    return story


def completed_with_a_foreign_token() -> Story:
    return of(completed(), Audit().enter().claim(2.0, 100).finish(3.0, token=555))


def attempt_not_counted() -> Story:
    return of(completed(), Audit().enter().claim(2.0, 100, attempt=0).finish(3.0))


def attempt_burnt() -> Story:
    story = released()
    audit = Audit().enter().claim(2.0, 100).release(2.5).claim(3.2, 101).finish(4.0)
    story.runs[1].attempt = 2
    return of(story, audit)


def crash_not_counted() -> Story:
    audit = Audit().enter().claim(2.0, 100).release(2.5, errors=1)
    story = of(completed(), audit.claim(3.2, 101).finish(4.0))
    story.runs = [run(100, 2.1, 2.4, "fail"), run(101, 3.3, 3.9, attempt=2)]
    return story


def run_on_after_the_lease() -> Story:
    story = of(completed(), Audit().enter().claim(2.0, 100).finish(40.0))
    story.runs = [run(100, 2.1, 39.9)]
    return story


def two_effects() -> Story:
    story = completed("effect")
    story.effects.insert(0, Effect(99, 2.5))
    return story


def no_effect() -> Story:
    story = completed("effect")
    story.effects = []
    return story


def effect_of_one_that_is_dead() -> Story:
    story = completed("effect")
    return of(story, Audit("effect").enter().claim(2.0, 100).bury(3.0))


def claimed_early() -> Story:
    audit = Audit().enter(position=None, run_at=5.0).promoted(5.1)
    return of(completed(), audit.add(5.2, "u", run_at=9.0).claim(6.0, 100).finish(7.0))


def promoted_early() -> Story:
    story = of(completed(), Audit().enter(position=None, run_at=5.0).promoted(4.0).claim(5.1, 100))
    story.versions += Audit().enter().claim(5.1, 100).finish(6.0).versions[2:]
    for n, version in enumerate(story.versions, 1):
        version.seq = n
    for version in story.versions[3:]:
        version.xid = 99
    story.runs = [run(100, 5.2, 5.9)]
    return story


def started_early() -> Story:
    story = completed()
    story.enqueues[0].delay = 5.0
    return story


def ended_too_many_workers() -> Story:
    story = of(completed("exit"), Audit("exit").enter().claim(2.0, 100).bury(30.0))
    story.runs = [Run(100, 1, "exit", 2.0 + n, None, None, PROCESS) for n in range(8)]
    return story


def buried_without_a_start() -> Story:
    """Its worker died three times, and it had only waited there in the third."""
    audit = Audit().enter().claim(2.0, 100).rescued(3.0).claim(4.0, 101).rescued(5.0)
    audit.claim(6.0, 102).bury(7.0, crashes=3, state="its worker died 3 times while it ran")
    story = of(completed(), audit)
    story.runs = [run(100, 2.1, None, None), run(101, 4.1, None, None, attempt=2)]
    return story


def written_late() -> Story:
    return of(completed(), Audit().enter().claim(2.0, 100).finish(30.0))


def claimed_though_unknown() -> Story:
    story = of(completed("ghost"), Audit("ghost").enter().claim(2.0, 100).released(3.0))
    story.versions[-1].attempt = 1
    story.runs = []
    return story


def stuck_unbegun() -> Story:
    story = of(completed(), Audit().enter().claim(2.0, 100))
    story.runs = []
    return story


def held_unknown() -> Story:
    """A claim laid it to the account of a worker that lives and did not begin it."""
    audit = Audit().enter().claim(2.0, 100).released(12.0).claim(12.5, 101).finish(13.0)
    story = of(completed(), audit)
    story.runs = [run(101, 12.6, 12.9)]
    return story


VIOLATED: tuple[tuple[str, Callable[[], Story]], ...] = (
    ("I1", lost), ("I1", stuck), ("I1", vanished), ("I1", in_two_places), ("I1", never_started),
    ("I2", unasked), ("I2", there_though_it_failed),
    ("I3", changed_after_its_end), ("I3", ended_twice), ("I3", begun_anew),
    ("I3", revived_though_completed),
    ("I4", again_without_need), ("I4", twice_for_one_claim),
    ("I5", claimed_twice), ("I5", token_twice), ("I5", id_twice), ("I5", unclaimed),
    ("I6", completed_by_another), ("I6", completed_though_it_failed),
    ("I6", completed_with_a_foreign_token),
    ("I7", attempt_not_counted), ("I7", attempt_burnt), ("I7", crash_not_counted),
    ("I7", claimed_though_unknown),
    ("I11", two_effects), ("I11", no_effect), ("I11", effect_of_one_that_is_dead),
    ("I12", claimed_early), ("I12", promoted_early), ("I12", started_early),
    ("I15", ended_too_many_workers), ("I15", buried_without_a_start), ("I16", written_late),
    ("I27", held_unknown), ("I27", stuck_unbegun),
)  # fmt: skip


@pytest.mark.parametrize(
    ("invariant", "make"), VIOLATED, ids=[f"{i}-{make.__name__}" for i, make in VIOLATED]
)
def test_a_violation_is_found(invariant: str, make: Callable[[], Story]) -> None:
    assert invariant in violations(make()).violations


# -- what a fault excuses, and what it does not


def world(*, faults: tuple[float, float] = (2.0, 4.0)) -> World:
    return World(faults=Windows([faults]), at_large=Windows([faults]))


def test_a_fault_excuses_a_second_run_that_follows_it() -> None:
    assert violations(again_without_need(), world=world()).ok
    assert "I4" in violations(again_without_need(), world=world(faults=(8.0, 9.0))).violations


def test_a_fault_of_one_process_excuses_what_that_one_ran() -> None:
    elsewhere = World(faults=Windows([(2.0, 4.0)]), struck={2: Windows([(2.0, 4.0)])})
    assert "I4" in violations(again_without_need(), world=elsewhere).violations
    here = World(faults=Windows([(2.0, 4.0)]), struck={1: Windows([(2.0, 4.0)])})
    assert violations(again_without_need(), world=here).ok


@pytest.mark.parametrize(
    ("fault", "ok"),
    [((1.5, 4.5), True), ((3.0, 3.5), False), ((6.0, 7.0), True), ((20.0, 30.0), False)],
)
def test_a_fault_gives_the_worker_as_long_again_to_notice(
    fault: tuple[float, float], ok: bool
) -> None:
    found = violations(held_unknown(), world=World(faults=Windows([fault])))
    assert ("I27" not in found.violations) == ok


def test_a_blocked_loop_begins_nothing() -> None:
    slow = World(slow=Windows([(2.5, 5.0)]))
    assert "I27" not in violations(held_unknown(), world=slow).violations


@pytest.mark.parametrize("other", [None, 99], ids=["gone", "another-has-its-id"])
def test_what_a_server_may_forget_is_not_lost_and_nothing_else(other: int | None) -> None:
    def story() -> Story:
        if other is None:
            return lost()
        changed = completed()
        changed.versions = [replace(version, key=other) for version in changed.versions]
        changed.runs = []
        return changed

    then = World(forgotten=Windows([(0.5, 1.0)]))
    found = violations(story(), world=then)
    assert found.ok
    assert found.counts["forgotten"] == 1
    for otherwise in (World(), World(forgotten=Windows([(2.0, 9.0)])), world(faults=(0.0, 99.0))):
        assert not violations(story(), world=otherwise).ok
    # It was acknowledged then, and it is there: it may not be stuck.
    assert "I1" in violations(stuck(), world=then).violations


@pytest.mark.parametrize(("pid", "ok"), [(2, True), (3, False)])
def test_one_that_was_frozen_may_begin_what_it_had_claimed(pid: int, ok: bool) -> None:
    """It goes on after another has run the job: that one was struck by nothing."""
    audit = Audit().enter().claim(2.0, 100).rescued(3.0).claim(3.1, 101).finish(3.5)
    story = of(completed(), audit)
    late = replace(run(100, 4.0, 4.1), process=PROCESS.replace("-1-", "-2-"))
    story.runs = [run(101, 3.2, 3.3, attempt=2), late]
    spans = Windows([(2.5, 3.9)])
    found = violations(story, world=World(faults=spans, struck={pid: spans}))
    assert ("I4" not in found.violations) == ok


def test_a_job_that_ran_whenever_its_worker_died_may_be_buried() -> None:
    story = buried_without_a_start()
    story.runs.append(run(102, 6.1, None, None, attempt=3))
    assert violations(story, world=world(faults=(0.0, 99.0))).ok


def test_one_that_was_about_to_start_when_its_worker_died_may_be_buried() -> None:
    def story() -> Story:
        made = buried_without_a_start()
        audit = Audit().enter().claim(2.0, 100).rescued(3.0).claim(4.0, 101).rescued(5.0)
        audit.claim(6.0, 102).quarantined(6.5)
        audit.bury(7.0, crashes=3, state="its worker died 3 times while it ran")
        made.versions = audit.versions
        return made

    anytime = world(faults=(0.0, 99.0))
    assert violations(story(), world=anytime).ok
    many = violations(*[story() for _ in range(4)], world=anytime)
    assert "I15" in many.violations


@pytest.mark.parametrize(("why", "ok"), [("no heartbeat", True), ("its process ended", False)])
def test_who_had_not_started_is_not_blamed_for_an_end_that_was_seen(why: str, ok: bool) -> None:
    def story() -> Story:
        told = f"worker h:1 was lost while the job ran: {why}"
        audit = Audit().enter().claim(2.0, 100).rescued(2.5, told).claim(3.0, 101).finish(4.0)
        made = of(completed(), audit)
        made.runs = [run(101, 3.1, 3.9, attempt=2)]
        return made

    anytime = world(faults=(0.0, 99.0))
    assert violations(*[story() for _ in range(3)], world=anytime).ok
    many = violations(*[story() for _ in range(4)], world=anytime)
    assert many.ok == ok
    assert many.counts["blamed unstarted"] == 4


@pytest.mark.parametrize("make", [lost, stuck, ended_twice, two_effects, attempt_burnt])
def test_no_fault_excuses(make: Callable[[], Story]) -> None:
    assert not violations(make(), world=world(faults=(0.0, 99.0))).ok


def test_i9_a_run_goes_on_after_the_lease_was_lost() -> None:
    lost_at = World(fenced={PROCESS: [10.0]}, faults=Windows([(0.0, 99.0)]))
    assert "I9" in violations(run_on_after_the_lease(), world=lost_at).violations


# -- wake-ups, cancels, unique keys


def late_wake(start: float) -> Story:
    story = of(completed(), Audit().enter().claim(start, 100).finish(start + 1.0))
    story.runs = [run(100, start + 0.1, start + 0.9)]
    return story


def test_i18_a_late_start_counts_in_calm_only() -> None:
    calm = World(calm=Windows([(0.0, 60.0)]))
    assert violations(late_wake(2.0), world=calm).ok
    assert "I18" in violations(late_wake(9.0), world=calm).violations
    assert violations(late_wake(9.0)).ok
    with_fault = World(calm=calm.calm, faults=Windows([(2.0, 3.0)]))
    assert violations(late_wake(9.0), world=with_fault).ok


@pytest.mark.report("f45")
def test_a_cancel_that_was_acknowledged_holds() -> None:
    asked = World(cancels={JOB: (2.5, "cancelled")})
    assert violations(cancelled(), world=asked).ok
    assert "F45" in violations(completed(), world=asked).violations


@pytest.mark.report("f45")
def test_a_running_job_ends_soon_after_its_cancel() -> None:
    asked = World(cancels={JOB: (2.5, "requested")})
    assert violations(completed(), world=asked).ok
    assert "F45" in violations(run_on_after_the_lease(), world=asked).violations


def keyed(job: int, begin: int, end: float) -> Story:
    """A job with a unique key; its seqs go from ``begin``."""
    story = of(completed("once"), Audit("once", unique="u1").enter().claim(2.0, 100).finish(end))
    story.job = job
    for version in story.versions:
        version.seq += begin
        version.xid += begin
    return story


def test_i10_two_live_jobs_of_one_key() -> None:
    assert violations(keyed(7, 0, 3.0), keyed(8, 10, 3.0)).ok
    assert "I10" in violations(keyed(7, 0, 3.0), keyed(8, 1, 3.0)).violations


def test_i10_a_duplicate_of_a_job_that_was_not_live() -> None:
    told = keyed(7, 0, 3.0)
    told.enqueues.append(Enqueue(2, "once", "ok", 2.0, 2.1, unique="u1", duplicate=True))
    assert violations(told).ok
    told.enqueues.append(Enqueue(3, "once", "ok", 8.0, 8.1, unique="u1", duplicate=True))
    assert "I10" in violations(told).violations
