"""What machines of a worker have beside them, made up: a store without a server, and a view.

Each answers as a server that has nothing to do does. A test names what is to be different.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

__all__ = ["FleetStore", "view"]

RENEWED: dict[str, Any] = {
    "alive": True, "before": 0, "workers": 1, "alike": 1, "server": "monday", "cancelled": [],
    "next_due": None, "age": 0.0, "expired": [], "vanished": [],
}  # fmt: skip


def view(**others: Any) -> Any:
    """What the heartbeat thread reads of a worker with two queues that runs nothing."""
    at_rest: dict[str, Any] = {"running": 0, "takes_jobs": True, "due_since": None}
    return SimpleNamespace(
        **{**at_rest, "cursors": lambda: [0] * 20, "successes": set[tuple[int, int]], **others}
    )


class FleetStore:
    """The statements of the heartbeat thread. ``sent``: their names, in their order.

    ``answers``: what a statement answers, or raises, in place of nothing; the last one stays.
    """

    def __init__(self, **answers: list[Any]) -> None:
        self.link = SimpleNamespace(connects=1, connected=True, transact=self._transact)
        self.answers = answers
        self.sent: list[str] = []
        self.args: dict[str, tuple[Any, ...]] = {}

    def count(self, name: str) -> int:
        """How often a statement was sent."""
        return self.sent.count(name)

    async def _answer(self, name: str, otherwise: Any, *args: Any) -> Any:
        await asyncio.sleep(0)
        self.sent.append(name)
        self.args[name] = args
        answers = self.answers.get(name)
        if not answers:
            return otherwise
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _transact(self, work: Callable[[Any], Any], **_: Any) -> Any:
        return await work(None)

    async def own_session(self) -> tuple[int, str]:
        return await self._answer("own_session", (1, "start"))

    async def register(self, *values: Any) -> None:
        await self._answer("register", None, *values)

    async def remove_worker(self, worker: int) -> None:
        await self._answer("remove_worker", None, worker)

    async def renew(self, *values: Any) -> dict[str, Any]:
        return {**RENEWED, **await self._answer("renew", {}, *values)}

    async def find_passed(self, *values: Any) -> list[Any]:
        return await self._answer("find_passed", [], *values)

    async def held(self, *values: Any) -> list[Any]:
        return await self._answer("held", [], *values)

    async def due_duties(self) -> dict[str, float]:
        return await self._answer("due_duties", {})

    async def take_duty(self, name: str, hold: float) -> bool:
        return await self._answer("take_duty", True, name, hold)

    async def end_duty(self, name: str, every: float) -> None:
        await self._answer("end_duty", None, name, every)

    async def ensure_history(self) -> None:
        await self._answer("ensure_history", None)

    async def drop_history(self, retention: float) -> bool:
        return await self._answer("drop_history", False, retention)

    async def orphans(self) -> list[int]:
        return await self._answer("orphans", [])
