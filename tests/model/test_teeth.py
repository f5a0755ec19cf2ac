"""The schedules bite: each statement that is broken on purpose is found by one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.db import hands
from tests.model.arena import Arena
from tests.model.machine import Machine
from tests.model.place import Place
from tests.model.play import LEVELS, Wrong, play
from tests.model.test_gates import GATES, check_few_keys, gate
from tests.model.test_machine import PROFILE
from tests.model.test_pairs import orders
from tests.model.test_rounds import CASE, MANY

from pgqueue.db import fleet_store
from pgqueue.db.statements import statement


def breaking(name: str, right: str, wrong: str) -> Callable[[str, str], str]:
    """What gives out the statements, with this one changed."""

    def broken(asked: str, schema: str) -> str:
        text = statement(asked, schema)
        if asked == name:
            text, count = re.subn(right, wrong, text)
            assert count == 1
        return text

    return broken


def caught(arena: Arena, pair: tuple[str, str]) -> str:
    """What the schedules of this pair say first; empty, if they find nothing."""
    tries: list[Any] = [(pair, order, None) for order in orders(*pair, LEVELS[0])]
    tries += [((holder, *pair), gate(*pair), {"A": (unit,)}) for holder, unit in GATES]
    for ops, order, only in tries:
        try:
            arena.runner.run(play(arena, ops, order, LEVELS[0], only))
        except Wrong as exc:
            return str(exc)
    return ""


TOKEN = (
    r" and coalesce\(job.claim_token, 0\)\s+= \(\$2::bigint\[\]\)\[.*?\]\)\]"
    r"\s+and job.worker_id is not null"
)
NO_TOKEN = " and $2::bigint[] is not null"

BROKEN = {
    "a completion that asks for no token": (
        "finish_jobs", TOKEN, NO_TOKEN,
        ("complete", "rescue"), "A answers {'old': True}",
    ),
    "a claim that waits for locked rows": (
        "claim_jobs", "for update skip locked", "for update",
        ("claim", "cancel"), "A (claim) waits",
    ),
    "a claim that takes what another has taken": (
        "claim_jobs", "and job.worker_id is null", "", ("claim", "claim"), "B answers {'old': 2}",
    ),
    "a failure that forgets the cancel request": (
        "release_jobs", r"\s+and not job.cancel_requested", "",
        ("fail", "cancel"), "A answers {'old': 'written'}",
    ),
    "a rescue that does not ask again whether the worker is lost": (
        "lock_lost_worker", "else clock_timestamp.*end", "else true end",
        ("heartbeat", "rescue"), "workers {}; A answers {'W': True}",
    ),
    "a rescue that waits for a row and does not look at it again": (
        "rescue_jobs", r"where job.worker_id = .*\s+(order.*\s+for update of job) skip locked",
        r"\1", ("fail", "rescue"), "B (rescue) waits",
    ),
    "a redrive that does not mind the unique key": (
        "redrive_jobs", "on conflict do nothing", "", ("redrive", "enqueue"), "23505",
    ),
    "a cancel that locks against the order of the ids": (
        "cancel_jobs", "order by id", "order by id desc", ("complete", "cancel"), "40P01",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_statement_is_found(
    arena: Arena, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, right, wrong, pair, sign = BROKEN[what]
    assert not caught(arena, pair)

    monkeypatch.setattr(hands, "statement", breaking(name, right, wrong))
    assert sign in caught(arena, pair)


@contextmanager
def broken_function(arena: Arena, name: str, right: str, wrong: str) -> Iterator[None]:
    run, admin = arena.runner.run, arena.admin
    text = run(admin.value(f"select pg_get_functiondef('@.{name}'::regproc)"))
    assert text.count(right) == 1
    run(admin.connection.execute(text.replace(right, wrong)))
    try:
        yield
    finally:
        run(admin.connection.execute(text))


def test_an_enqueue_that_does_not_sort_its_keys_is_found(arena: Arena) -> None:
    sort = 'doc.unique_key collate "C" nulls first, '
    with broken_function(arena, "enqueue_keyed", sort, ""):
        assert "40P01" in caught(arena, ("enqueue", "enqueue"))


def test_an_enqueue_of_few_that_does_not_sort_its_keys_is_found(arena: Arena) -> None:
    sort = 'job.unique_key collate "C" nulls first, '
    with (
        broken_function(arena, "enqueue_each", sort, ""),
        pytest.raises(Wrong, match="40P01"),
    ):
        check_few_keys(arena)


def test_a_second_round_that_holds_on_to_the_keys_of_the_first_is_found(arena: Arena) -> None:
    undo = "raise exception 'pgqueue: a unique key changed hands' using errcode = 'PQ001';"
    ops, order, only = next(iter(CASE.values()))
    with (
        broken_function(arena, "enqueue_keyed", undo, ""),
        pytest.raises(Wrong, match="40P01"),
    ):
        arena.runner.run(play(arena, ops, order, LEVELS[0], only, MANY))


BROKEN_FOR_GOOD = {
    "a completion that asks for no token": (
        "finish_jobs", TOKEN, NO_TOKEN
    ),
    "a claim from a paused queue": ("claim_jobs", "where state.name is null", ""),
    "a rescue that blames the neighbours": (
        "rescue_jobs", r"or held.worker_id\s+<> all \(array\(select .* quarantined\)\)", "or true"
    ),
    "a promotion before its time": ("promote_jobs", "and run_at <= statement_timestamp()", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN_FOR_GOOD)
def test_the_machine_finds_a_broken_statement(
    place: Place, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, right, wrong = BROKEN_FOR_GOOD[what]
    monkeypatch.setattr(fleet_store, "statement", breaking(name, right, wrong))
    Machine.place = place
    found = settings(PROFILE, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machine, settings=found)
