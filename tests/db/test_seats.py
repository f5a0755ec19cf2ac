"""What a heartbeat answers of workers that are alike, and which flags another kind needs."""

from __future__ import annotations

from typing import Any

from tests.db.hands import Hands

KIND = 7


async def heartbeat(hands: Hands, worker: int, *, running: int = 0, takes: bool = True) -> Any:
    since = await hands.value("select now()")
    (row,) = await hands.run(
        "renew_lease", worker, running, False, None, None, False, 0.0, since, KIND, 5, True, takes
    )
    assert row["alive"]
    return row["before"], row["alike"]


async def test_who_comes_before_whom(hands: Hands) -> None:
    workers = [await hands.register("default", worker=n) for n in (10, 20, 30, 40)]
    await hands.sql(f"update @.worker set kind = {KIND}")
    await hands.register("default", worker=1)  # of another kind
    assert [await heartbeat(hands, n) for n in workers] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert await heartbeat(hands, 10, running=3) == (3, 4), "the others run nothing"
    assert await heartbeat(hands, 40) == (2, 4), "one runs more"
    assert await heartbeat(hands, 20, running=4) == (3, 4)
    assert await heartbeat(hands, 10, running=1) == (2, 4)
    await heartbeat(hands, 30, takes=False)
    assert await heartbeat(hands, 10, running=1) == (1, 4), "one takes no jobs"
    await hands.sql("update @.worker set heartbeat_at = now() - '10 s'::interval where id = 40")
    assert await heartbeat(hands, 10, running=1) == (0, 4), "one is late"


async def test_no_more_are_counted_than_hear_anything(hands: Hands) -> None:
    for n in range(20):
        await hands.register("default", worker=n)
    await hands.sql(f"update @.worker set kind = {KIND}")
    assert await heartbeat(hands, 19) == (5, 20)


async def test_all_are_counted_whose_heartbeat_is_not_late(hands: Hands) -> None:
    """Of whatever kind, and whether or not lost ones are looked for."""
    for n in range(6):
        await hands.register("default", worker=n)
    await hands.sql(f"update @.worker set kind = {KIND} where id < 4")
    late = "heartbeat_at = now() - '10 s'::interval"
    await hands.sql(f"update @.worker set {late} where id in (1, 5)")
    since = await hands.value("select now()")
    for look, count in ((False, True), (True, True), (False, False)):
        (row,) = await hands.run(
            "renew_lease", 0, 0, False, None, None, look, 0.0, since, KIND, 5, count, True
        )
        assert (row["workers"], row["alike"]) == ((4, 4) if count else (0, 0))


async def test_a_queue_that_several_kinds_serve_keeps_its_flag(hands: Hands) -> None:
    for worker, queue in ((1, "a"), (2, "a"), (3, "b")):
        await hands.register(queue, worker=worker)
    await hands.sql(f"update @.worker set kind = {KIND} where id <> 2")
    await hands.run("raise_flags", ["a", "b"])
    rows = await hands.run("lower_flags", ["a", "b"], KIND)
    assert sorted((row["name"], row["lowered"]) for row in rows) == [("a", False), ("b", True)]
    rows = await hands.run("lower_flags", ["a", "b"], None)
    assert [(row["name"], row["lowered"]) for row in rows] == [("a", True)]
