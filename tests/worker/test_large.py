"""Jobs with large arguments: a claim leaves them out, and they are read as the jobs begin."""

from __future__ import annotations

import random
import string
from typing import Any

import pytest

from pgqueue import App, current_job
from pgqueue.db.faults import Rejected
from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown
from pgqueue.worker.claim.inline import inline_bytes
from pgqueue.worker.put_off import PutOff
from pgqueue.worker.timings import Timings
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_turn

ROUTES = ["direct", "pgbouncer"]


def text_of(size: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(string.ascii_letters, k=size))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of the arguments that each claim brought."""
    claim = Store.claim
    sizes: list[int] = []

    async def measured(self: Store, *args: Any, **options: Any) -> Any:
        rows, busy = await claim(self, *args, **options)
        if rows:
            sizes.append(sum(len(row["args"] or "") + len(row["metadata"] or "") for row in rows))
        return rows, busy

    monkeypatch.setattr(Store, "claim", measured)
    return sizes


async def test_one_claim_fetches_no_more_than_its_share_of_each_job(
    app: App, eyes: Eyes, answers: list[int]
) -> None:
    """The first claim has a thousand slots to fill, and knows nothing of the sizes."""
    seen: list[tuple[int, int]] = []

    @app.task
    async def take(n: int, text: str) -> None:
        assert text == text_of(len(text), n)
        seen.append((n, len(text)))

    sizes = [10, 50_000, 5_000, 60_000] * 25
    await app.aenqueue_many([take.job(n, text_of(size, n)) for n, size in enumerate(sizes)])
    async with working(app, concurrency=1000):
        await eyes.settled(completed=100, timeout_s=60)
    assert sorted(seen) == list(enumerate(sizes))
    assert 25 * 5_000 < sum(answers) < 50 * inline_bytes(1000), "the small ones come with it"


async def test_large_metadata_comes_with_the_job(app: App, eyes: Eyes, answers: list[int]) -> None:
    seen: list[Any] = []

    @app.task
    async def take(n: int) -> None:
        job = current_job()
        seen.append((n, job.metadata, job.tags))

    metadata = {"text": text_of(60_000, 1)}
    await take.using(metadata=metadata, tags=["a"]).aenqueue(1)
    async with working(app, concurrency=1000):
        await eyes.settled(completed=1)
    ((n, got, tags),) = seen
    assert (n, got, list(tags)) == (1, metadata, ["a"])
    assert max(answers) == 0


async def test_a_large_job_that_cannot_be_read_waits(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Store.whole
    failures: list[BaseException] = [OutcomeUnknown("the connection was lost"), MemoryError()]

    async def fails(self: Store, *args: Any) -> Any:
        if failures:
            raise failures.pop(0)
        return await whole(self, *args)

    monkeypatch.setattr(Store, "whole", fails)
    soon = Timings(put_off=PutOff(least_without_room=0.1, most_without_room=0.2))
    seen: list[int] = []

    @app.task
    async def take(text: str) -> None:
        seen.append(len(text))

    job_id = (await take.aenqueue(text_of(300_000, 1))).id
    async with working(app, concurrency=100, timings=soon):
        row = await eyes.reaches(job_id, "completed", timeout_s=60)
    assert seen == [300_000]
    assert row["attempt"] == 1
    assert not failures


async def test_a_large_job_that_the_database_refuses_to_read_is_dead(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def damaged(self: Store, *args: Any) -> Any:
        raise Rejected("missing chunk number 0 for toast value 1 (XX001)")

    monkeypatch.setattr(Store, "whole", damaged)

    @app.task
    async def take(text: str) -> None: ...

    job_id = (await take.aenqueue(text_of(300_000, 1))).id
    async with working(app, concurrency=100):
        row = await eyes.reaches(job_id, "dead", timeout_s=60)
    assert row["attempt"] == 1
    (error,) = await eyes.errors(job_id)
    assert "missing chunk" in error["message"]
