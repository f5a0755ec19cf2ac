"""Why a job of a flow does not run."""

from __future__ import annotations

from pgqueue import App
from tests.flow.conftest import Line


async def test_a_job_in_line_has_a_place(app: App, line: Line) -> None:
    await line.declare(key_concurrency=2)
    await line.register("default")
    ids = await line.put(*["acme"] * 5, "duck")
    assert await line.admit() == 3
    assert await app.awhy_waiting(ids[4]) == ("in line of crm / acme: place 3, 2 of 2 running",)
    assert await app.awhy_waiting(ids[0]) == ("it is next: a free worker takes it at once",)
    await app.flows.by("ann", reason="abuse").apause("crm", key="acme")
    why = await app.awhy_waiting(ids[4])
    assert why[0] == "in line of crm / acme: place 5, 0 of 2 running"
    assert why[1].startswith('key "acme" of flow "crm" was paused at ')
    assert why[1].endswith(": abuse")


async def test_the_fleet_may_be_why_as_well(app: App, line: Line) -> None:
    (one,) = await line.put("acme", queue="mail")
    assert (await app.awhy_waiting(one))[-1] == "no live worker"
    await line.register("default")
    assert (await app.awhy_waiting(one))[-1] == 'no live worker serves queue "mail"'
    await app.apause("mail")
    assert (await app.awhy_waiting(one))[-1].startswith('queue "mail" was paused at ')


async def test_rates_and_breaks_say_how_long(app: App, line: Line) -> None:
    await line.declare(rate=1 / 3600, key_rate=1 / 3600)
    await line.register("default")
    ids = await line.put("acme", "acme")
    assert await line.admit() == 1
    why = await app.awhy_waiting(ids[1])
    assert why[1].startswith("rate of crm: next token in 3")
    assert why[2].startswith("rate of crm / acme: next token in 3")
    await line.sql("update @.flow set held_until = now() + interval '1 hour'")
    why = await app.awhy_waiting(ids[1])
    assert why[1].endswith("s more, as one of its jobs asked")


async def test_an_ordered_line_waits_for_its_first_job(app: App, line: Line) -> None:
    await line.declare(ordered=True)
    await line.register("default")
    first, second = await line.put("acme", "acme")
    await line.sql("update @.job set run_at = now() + interval '1 hour' where id = $1", first)
    why = await app.awhy_waiting(second)
    assert why[0] == "in line of crm / acme: place 2, 0 of 1 running"
    assert why[1].startswith(f"job {first} goes first: its next attempt is due in 3")


async def test_a_flow_that_nobody_declares_says_so(app: App, line: Line) -> None:
    await line.register("default")
    _, second = await line.put("acme", "acme")
    assert await line.admit() == 1
    assert await app.awhy_waiting(second) == (
        "in line of crm / acme: place 1, 1 of 1 running",
        'no code declares flow "crm": it runs one job at a time',
    )
