"""Ten thousand queues: what it costs to count them, and what is printed of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pgqueue.admin.info import COUNT_BOUND, Count, QueueInfo
from pgqueue.cli.queues import fullest, print_queues
from pgqueue.client import Client
from pgqueue.db.statements import statement
from tests.admin.conftest import Session

QUEUES = 500


def info(name: str, *, ready: int = 0, running: int = 0, scheduled: int = 0) -> QueueInfo:
    return QueueInfo(name, None, False, Count(ready), Count(running), Count(scheduled), None)


async def probes(session: Session) -> int:
    """How often count_queues goes to the table of jobs."""
    text = statement("count_queues", "pgqueue")
    async with session.connection.transaction():
        await session.run("limit_session", "60000", "off")
        rows = await session.sql(f"explain (analyze, format json) {text}", COUNT_BOUND)

    def loops(node: dict[str, Any]) -> int:
        own = node["Actual Loops"] if node.get("Relation Name") == "job" else 0
        return own + sum(map(loops, node.get("Plans", ())))

    return loops(json.loads(rows[0][0])[0]["Plan"])


@pytest.mark.parametrize("analysed", [False, True])
async def test_each_queue_costs_two_probes_for_each_priority_that_is_in_use(
    client: Client, other: Session, analysed: bool
) -> None:
    await other.sql(
        "insert into pgqueue.queue (name) select 'q' || n from generate_series(1, $1::int) as n",
        2 * QUEUES,
    )
    # Three jobs in each of half the queues, all of one priority; one queue has two priorities.
    await other.sql(
        "insert into pgqueue.job (queue, task, position, priority)"
        " select 'q' || n, 't', nextval('pgqueue.position_seq'), n % 10"
        " from generate_series(1, $1::int) as n, generate_series(1, 3)",
        QUEUES,
    )
    await other.sql(
        "insert into pgqueue.job (queue, task, position, priority, worker_id, claim_token)"
        " values ('q1', 't', nextval('pgqueue.position_seq'), 9, 1, 1)"
    )
    if analysed:
        await other.sql("analyze pgqueue.job")
    assert await probes(other) < 2 * QUEUES + 10
    found = {queue.name: queue for queue in await client.aqueues()}
    assert len(found) == 2 * QUEUES
    assert (found["q1"].ready, found["q1"].running) == (3, 1)
    assert (found[f"q{QUEUES}"].ready, found[f"q{QUEUES}"].running) == (3, 0)
    empty = found[f"q{2 * QUEUES}"]
    assert (empty.ready, empty.running, empty.oldest_ready_seconds) == (0, 0, None)
    assert empty.ready.exact


def test_of_very_many_queues_the_fullest_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    many = [info(f"q{n:05}") for n in range(10_000)]
    many[7_000] = info("full", ready=9)
    many[7_001] = info("busy", running=10)
    many[9_999] = info("later", scheduled=5)
    print_queues(many)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["busy", "full", "later", "q00000"]
    assert len(lines) == 2 + 50 + 1
    assert lines[-1] == "and 9,950 more queues, none fuller; --json has all"


def test_a_few_queues_are_printed_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    few = [info(f"q{n:02}", ready=n) for n in range(50)]
    assert fullest(few, 50) is few
    print_queues(few)
    out = capsys.readouterr().out
    assert "more" not in out
    assert len(out.splitlines()) == 2 + 50


def test_of_equally_full_queues_those_that_are_paused_come_first() -> None:
    paused = QueueInfo("z", datetime.now(UTC), False, Count(1), Count(0), Count(0), 3.0)
    many = [*(info(f"q{n}", ready=1) for n in range(10)), paused]
    assert [queue.name for queue in fullest(many, 3)] == ["z", "q0", "q1"]
