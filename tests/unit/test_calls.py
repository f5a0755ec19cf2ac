"""Jobs as calls: which statement they go with, and where a bulk call is cut."""

from __future__ import annotations

import json

import pytest

from pgqueue import calls
from pgqueue.bulk import in_key_order
from pgqueue.calls import Calls, Lookout
from pgqueue.client import Client
from pgqueue.job import NewJob

CALLS = Calls("pgqueue")
CLIENT = Client("postgresql:///nowhere")


def job(n: int, task: str = "t", **options: object) -> NewJob:
    return CLIENT.job(task, {"n": n}, **options)  # type: ignore[arg-type]


def numbers(call: tuple[str, tuple[str | int, ...]]) -> list[int]:
    """The argument of each job in a call, in order, however it is written."""
    sql, values = call
    if "enqueue_alike" in sql:
        return [args["n"] for args in json.loads(str(values[1]))]
    return [document["args"]["n"] for document in json.loads(str(values[0]))]


def test_jobs_that_differ_in_their_arguments_alone_go_as_one_array() -> None:
    ((sql, values),) = CALLS.many([job(n, queue="mail", priority=2) for n in range(3)])
    assert "enqueue_alike" in sql
    assert values == ("t", '[{"n":0},{"n":1},{"n":2}]', "mail", 2, 25)


@pytest.mark.parametrize(
    "other",
    [
        {"task": "u"}, {"queue": "mail"}, {"priority": 1}, {"max_attempts": 1}, {"delay": 1},
        {"unique_key": "k"}, {"tags": ["a"]}, {"metadata": {}}, {"timeout": 1},
        {"flow": "f"}, {"flow": "f", "flow_key": "k", "weight": 2},
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_differs_makes_documents_of_all(other: dict[str, object], place: int) -> None:
    jobs = [job(n) for n in range(3)]
    task = str(other.get("task", "t"))
    jobs[place] = job(place, task, **{k: v for k, v in other.items() if k != "task"})
    ((sql, values),) = CALLS.many(jobs)
    assert "enqueue_checked" in sql
    assert numbers((sql, values)) == [0, 1, 2]
    assert json.loads(str(values[0]))[place]["task"] == task


def test_a_bulk_call_is_cut_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CHUNK", 4)
    jobs = [job(n) for n in range(9)]
    jobs[5] = job(5, delay=3)
    made = list(CALLS.many(jobs))
    assert [numbers(call) for call in made] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert ["enqueue_alike" in sql for sql, _ in made] == [True, False, True]


def test_a_bulk_call_is_cut_by_size() -> None:
    big = "x" * 1_000_000
    jobs = [CLIENT.job("t", {"n": n, "big": big}) for n in range(40)]
    made = list(CALLS.many(jobs))
    assert [n for call in made for n in numbers(call)] == list(range(40))
    assert max(len(str(values[1])) for _, values in made) < 17_000_000


def test_a_bulk_call_that_is_cut_by_size_goes_in_the_order_of_its_keys() -> None:
    """Two that took keys a statement at a time, in different orders, would block each other."""
    big = "x" * 1_000_000
    jobs = [CLIENT.job("t", {"big": big}, unique_key=f"{n:02}") for n in reversed(range(20))]
    size = sum(len(job.args) for job in jobs)
    ordered, order = in_key_order(jobs, size)
    assert [job.options["unique_key"] for job in ordered] == [f"{n:02}" for n in range(20)]
    assert order == list(reversed(range(20)))
    assert in_key_order(jobs[:3], 3_000_000) == (jobs[:3], None)  # one statement sorts by itself


def test_a_bulk_call_has_the_time_of_its_statements() -> None:
    deadline = CLIENT.pool.deadline
    few = [job(n) for n in range(3)]
    assert CLIENT._bounds(few, 30)["seconds"] == deadline
    assert CLIENT._bounds(few, 40_000_000)["seconds"] == 3 * deadline
    assert CLIENT._bounds([job(1)] * 12_000, 30)["seconds"] == 3 * deadline


def test_no_jobs_are_no_calls() -> None:
    assert list(CALLS.many([])) == []


def test_nobody_is_looked_for_again_within_10_ms_of_a_vain_look() -> None:
    lookout = Lookout()
    assert lookout.needed(5.0)
    assert lookout.learn(-7, 5.0).id == 7
    assert not lookout.needed(5.009)
    assert lookout.needed(5.0101)


def test_look_after_vain_look_is_made_up_to_40_ms_later() -> None:
    lookout = Lookout()
    now = 5.0
    for window in (0.01, 0.02, 0.04, 0.04):
        lookout.learn(-7, now)
        lookout.learn(-8, now + 0.001)  # asked at the same time by another
        assert not lookout.needed(now + window - 0.0001)
        now += window + 0.0001
        assert lookout.needed(now)
    lookout.learn(-7, now + 1.0)  # nothing was enqueued for a while
    assert lookout.needed(now + 1.0101)


def test_who_waits_ends_the_quiet() -> None:
    """Of two that looked at the same time, one found nobody, and the other somebody."""
    lookout = Lookout()
    lookout.learn(-7, 5.0)
    lookout.learn(8, 5.001)
    assert lookout.needed(5.002)


def test_while_somebody_waits_each_enqueue_looks() -> None:
    lookout = Lookout()
    assert lookout.learn(7, 5.0).id == 7
    assert lookout.needed(5.0)
