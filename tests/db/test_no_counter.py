"""A driver that does not count its statements leaves a lost answer unknown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgqueue import Client, OutcomeUnknown, failpoints


class _LosesAnswers:
    """Loses the answer of each call of a client after the server gave it."""

    def reach(self, name: str, strike: Callable[[], None]) -> None:
        if name == "client.after":
            strike()


@pytest.mark.one_pg
async def test_a_lost_answer_is_no_reason_to_enqueue_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(dsn) as client:
        await client.aenqueue("t")
        monkeypatch.setattr("pgqueue.db.pool.getattr", lambda *_: None, raising=False)
        with monkeypatch.context() as patched:
            patched.setattr(failpoints, "armed", _LosesAnswers())
            with pytest.raises(OutcomeUnknown):
                await client.aenqueue("t")
        assert len(await client.alist_jobs()) == 2
