"""A row that PostgreSQL refuses to copy: its job ends all the same, with as much as can be kept."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue import App, Backoff
from pgqueue.worker.timings import Timings, WriteTimings
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_turn

AT_ONCE = Backoff(base=0.0)
# As of a value whose pages are damaged: it is refused where it is copied.
REFUSE = """
    create function public.refuse() returns trigger language plpgsql as $$
    begin
        if new.args <> '{}' then
            raise exception 'missing chunk number 0 for toast value' using errcode = '%s';
        end if;
        return new;
    end $$;
    create trigger refuse before insert on pgqueue.dead
        for each row execute function public.refuse();
    create trigger refuse before insert on pgqueue.history
        for each row execute function public.refuse();
"""
DAMAGED = "XX001"
OF_A_TRIGGER = "P0001"


@pytest.fixture
def task(app: App) -> Any:
    @app.task(max_attempts=2, retry=AT_ONCE)
    async def work(fate: str) -> None:
        if fate == "fails":
            raise ValueError("it failed")

    return work


async def damage_errors(eyes: Eyes, job_id: int) -> None:
    """What stands there cannot be added to, nor be counted."""
    await eyes.sql("alter domain pgqueue.errors drop constraint job_errors")
    await eyes.sql("update pgqueue.job set errors = '{}' where id = $1", job_id)


async def test_a_job_whose_errors_are_damaged_is_tried_again_and_buried(
    app: App, eyes: Eyes, task: Any
) -> None:
    job_id = (await task.aenqueue("fails")).id
    await damage_errors(eyes, job_id)
    async with working(app):
        row = await eyes.reaches(job_id, "dead")
    assert (row["attempt"], row["args"]) == (2, '{"fate": "fails"}')
    assert row["reason"] == "failed 2 times, the last with ValueError"
    (error,) = await eyes.errors(job_id)
    assert error["type"] == "DamagedRow"
    assert error["at"]


@pytest.mark.parametrize("fate", ["fails", "returns"])
async def test_a_job_whose_arguments_cannot_be_copied_ends_without_them(
    app: App, eyes: Eyes, task: Any, fate: str
) -> None:
    job_id = (await task.using(tags=["a"], metadata={"b": 1}).aenqueue(fate)).id
    await eyes.connection.execute(REFUSE % DAMAGED)
    async with working(app):
        row = await eyes.reaches(job_id, "dead" if fate == "fails" else "completed")
    assert (row["args"], row["tags"], row["metadata"]) == ("{}", None, None)
    assert row["reason"] == ("its arguments could not be kept" if fate == "fails" else None)
    (error,) = await eyes.errors(job_id)
    assert error["type"] == "DamagedRow"


@pytest.mark.parametrize("fate", ["fails", "returns"])
async def test_what_a_trigger_refuses_keeps_its_arguments_and_waits(
    app: App, eyes: Eyes, task: Any, fate: str
) -> None:
    soon = Timings(writes=WriteTimings(refused=0.1))
    job_id = (await task.aenqueue(fate)).id
    await eyes.connection.execute(REFUSE % OF_A_TRIGGER)
    async with working(app, timings=soon) as worker:
        await eventually(lambda: worker.machines.completer.delayed)
        assert (await eyes.live(job_id))["args"] == f'{{"fate": "{fate}"}}'
        await eyes.sql("drop function public.refuse cascade")
        row = await eyes.reaches(job_id, "dead" if fate == "fails" else "completed")
    assert row["args"] == f'{{"fate": "{fate}"}}'
