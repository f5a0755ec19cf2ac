"""How a worker leaves."""

from __future__ import annotations

from itertools import product
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from pgqueue.errors import OutcomeUnknown, Unreachable
from pgqueue.worker.fleet import signoff
from pgqueue.worker.fleet.membership import Membership
from pgqueue.worker.fleet.signoff import AGAIN_SECONDS, Ending, Leaving, Orders, ending


@pytest.mark.parametrize(
    ("gives_up", "signs_off", "unsettled"), list(product([False, True], repeat=3))
)
def test_how_a_worker_leaves(gives_up: bool, signs_off: bool, unsettled: bool) -> None:
    orders = Orders(gives_up=gives_up, signs_off=signs_off)
    if gives_up:
        want = Ending.GIVE_UP
    elif signs_off and not unsettled:
        want = Ending.SIGN_OFF
    else:
        want = Ending.STAY
    assert ending(orders, unsettled=unsettled) is want


class Scene:
    """A worker under this id that leaves; ``answers``: of the server, one after the other."""

    def __init__(
        self,
        worker_id: int | None,
        *answers: Exception | None,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        self.store = Mock(remove_worker=AsyncMock(side_effect=answers))
        self.orders = Orders()
        membership = Membership()
        if worker_id is not None:
            membership.registered(worker_id)
        holdings, view = Mock(unsettled=False), Mock()
        view.successes.return_value = {(1, 2)}
        self.leaving = Leaving(
            cast("Any", self.store), self.orders, membership,
            holdings=holdings, view=view, crash_cap=3, again_seconds=again_seconds,
        )  # fmt: skip

    @property
    def asked(self) -> int:
        return self.store.remove_worker.await_count


@pytest.mark.parametrize(
    ("answers", "asked", "logged"),
    [
        ([None], 1, False),
        ([OutcomeUnknown("lost"), None], 2, False),
        ([OutcomeUnknown("lost"), OutcomeUnknown("lost")], 2, True),
        ([Unreachable("away")], 1, True),
    ],
)
async def test_it_takes_itself_off_the_list(
    answers: list[Any], asked: int, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(5, *answers)
    await scene.leaving.leave()
    assert scene.asked == asked
    assert ("could not sign off" in caplog.text) is logged


async def test_a_server_that_is_silent_is_not_asked_twice() -> None:
    scene = Scene(5, OutcomeUnknown("lost"), again_seconds=-1.0)
    await scene.leaving.leave()
    assert scene.asked == 1


async def test_who_is_not_on_the_list_sends_nothing() -> None:
    scene = Scene(None)
    scene.orders.gives_up = True
    await scene.leaving.leave()
    assert scene.store.mock_calls == []


async def test_who_gives_up_writes_what_has_succeeded(monkeypatch: pytest.MonkeyPatch) -> None:
    release = AsyncMock()
    monkeypatch.setattr(signoff, "release_worker", release)
    scene = Scene(5)
    scene.orders.gives_up = True
    await scene.leaving.leave()
    release.assert_awaited_once_with(scene.store, 5, done={(1, 2)}, crash_cap=3)
    assert scene.asked == 0
