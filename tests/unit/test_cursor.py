"""Where claims go on from, and below what nothing can appear."""

from __future__ import annotations

from typing import Any

from pgqueue.worker.claim.cursor import PRIORITIES, Cursors, last_of_each_priority
from pgqueue.worker.fleet.floor import Floor


def at(*positions: int) -> list[int]:
    return [*positions, *[0] * (PRIORITIES - len(positions))]


def test_a_cursor_goes_forward_only() -> None:
    cursors = Cursors(["a", "b"])
    cursors.advance("a", 1, 7)
    cursors.advance("a", 1, 5)
    cursors.advance("b", 0, 3)
    assert cursors.now(["a"]) == at(0, 7)
    assert cursors.heads(["b", "a"]) == at(3) + at(0, 7)


def test_a_rewind_goes_back_at_every_priority_and_never_forward() -> None:
    cursors = Cursors(["a", "b"])
    cursors.advance("a", 0, 9)
    cursors.advance("a", 1, 4)
    cursors.advance("b", 0, 9)
    cursors.rewind("a", 6)
    assert cursors.now(["a", "b"]) == at(5, 4) + at(9)
    cursors.rewind("a", 8)
    assert cursors.now(["a"]) == at(5, 4)
    cursors.rewind("nowhere", 1)


def test_a_rewind_during_a_claim_survives_its_answer() -> None:
    cursors = Cursors(["a"])
    cursors.advance("a", 0, 9)
    cursors.heads(["a"])
    cursors.rewind("a", 3)  # while the claim is on its way
    cursors.rewind("a", 5)
    cursors.advance("a", 0, 12)
    cursors.settle()
    assert cursors.now(["a"]) == at(2)
    cursors.heads(["a"])  # the next claim begins there, and its answer counts
    cursors.advance("a", 0, 12)
    cursors.settle()
    assert cursors.now(["a"]) == at(12)


def test_a_claim_that_looks_back_survives_a_rewind_as_well() -> None:
    cursors = Cursors(["a"])
    cursors.advance("a", 0, 9)
    cursors.lagging(["a"], 1.0, 0.25)
    cursors.rewind("a", 3)
    cursors.advance("a", 0, 12)
    cursors.settle()
    assert cursors.now(["a"]) == at(2)


def test_a_look_back_ends_a_reach_before_the_first_that_was_claimed() -> None:
    cursors = Cursors(["a"])
    cursors.remember(0.0)
    cursors.advance("a", 0, 1_000_000)
    cursors.advance("a", 0, 1_200_000)
    cursors.advance("a", 3, 7)
    assert cursors.lagging(["a"], 1.0, 2.0) == at(900_000)
    cursors.rewind("a", 5)  # what is known to be further back is claimed all the same
    assert cursors.lagging(["a"], 1.0, 2.0) == at(4)


def test_cursors_as_they_were() -> None:
    cursors = Cursors(["a"])
    for second in range(10):
        cursors.remember(float(second))
        cursors.advance("a", 0, (second + 1) * 10)
    # At moment s the cursor stood at 10 * s.
    assert cursors.lagging(["a"], 9.0, 0.5) == at(80)
    assert cursors.lagging(["a"], 9.0, 1.0) == at(80)
    assert cursors.lagging(["a"], 9.0, 2.0) == at(70)
    assert cursors.lagging(["a"], 9.0, 60.0) == at(60), "as long ago as is remembered"
    assert cursors.lagging(["a"], 9.0, 0.0) == at(90)


def test_without_a_memory_a_look_back_is_from_the_heads() -> None:
    cursors = Cursors(["a"])
    cursors.advance("a", 0, 5)
    assert cursors.lagging(["a"], 1.0, 2.0) == at(5)


def test_a_look_back_is_never_ahead_of_a_rewind() -> None:
    cursors = Cursors(["a"])
    cursors.advance("a", 0, 50)
    cursors.remember(0.0)
    cursors.rewind("a", 10)
    assert cursors.lagging(["a"], 3.0, 2.0) == at(9)


def test_what_is_remembered_is_bounded() -> None:
    """No older than it is asked for, and of each short time once."""
    cursors = Cursors(["a"])
    for n in range(1, 100_001):
        cursors.advance("a", 0, n)
        cursors.remember(n * 0.001)
    remembered = {cursors.lagging(["a"], 100.0, age * 0.001)[0] for age in range(100_001)}
    assert len(remembered) < 60
    assert min(remembered) > 97_000


def look(floor: Floor, newest: int, oldest: int, following: int, lowest: int | None = None) -> int:
    floor.learn(lowest_live=lowest, newest=newest, oldest=oldest, following=following, server="s")
    return floor.position


def test_the_floor_rises_once_all_that_ran_have_ended() -> None:
    floor = Floor()
    assert look(floor, 10, 100, 105) == 0  # 10 is noted
    assert look(floor, 20, 100, 110) == 0  # all that may hold up to 10 are below 110
    assert look(floor, 30, 109, 120) == 0  # one of them still runs
    assert look(floor, 30, 110, 130) == 10
    assert look(floor, 30, 130, 140) == 20
    assert look(floor, 30, 140, 140) == 30


def test_the_floor_stays_below_what_is_live() -> None:
    floor = Floor()
    look(floor, 10, 100, 100)
    look(floor, 10, 100, 100)
    assert look(floor, 10, 100, 100, lowest=4) == 3
    assert look(floor, 10, 100, 100, lowest=4) == 3
    assert look(floor, 10, 100, 100) == 10
    assert look(floor, 10, 100, 100, lowest=11) == 10


def test_the_floor_never_sinks_on_one_server() -> None:
    floor = Floor()
    for _ in range(4):
        look(floor, 10, 100, 100)
    assert look(floor, 10, 100, 100, lowest=5) == 10


def test_after_a_failover_all_is_forgotten() -> None:
    """An asynchronous standby hands out again what the old primary had handed out."""
    floor = Floor()
    for _ in range(4):
        look(floor, 1000, 100, 100)
    assert floor.position == 1000
    floor.learn(lowest_live=None, newest=2000, oldest=500, following=500, server="other")
    assert floor.position == 0
    assert look(floor, 990, 90, 90) == 0
    assert look(floor, 990, 90, 90) == 0
    assert look(floor, 990, 90, 90) == 990
    assert look(floor, 980, 80, 80) == 0, "positions went back on what says it is the same server"


def test_the_last_record_of_each_priority_has_its_highest_position() -> None:
    for priorities in ([], [5], [5] * 9, [0, 0, 3, 3, 3, 9], list(range(10))):
        records: Any = [{"priority": p, "position": at} for at, p in enumerate(priorities)]
        highest = {one["priority"]: one["position"] for one in records}
        found = {one["priority"]: one["position"] for one in last_of_each_priority(records)}
        assert found == highest
