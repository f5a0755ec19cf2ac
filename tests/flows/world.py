"""Flows under random operations, one at a time, on several connections with open transactions.

Nothing runs at once: what is tested is what each transaction sees of the others. After each step
the rules are asked (see rules.py). In the end faults are over, and callers that only do as the
answers of admissions say must drain everything.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.flows import rules
from tests.flows.caller import Admission, Caller
from tests.flows.life import Life, Settings, connect_life

__all__ = ["FLOWS", "World"]

FLOWS: Mapping[str, Settings] = {
    "plain": {"concurrency": 6, "key_concurrency": 2},
    "single": {"key_concurrency": 1},
    "fair": {"fair": True},
    "ordered": {"ordered": True, "on_dead": "halt"},
    "skipping": {"ordered": True, "on_dead": "skip", "concurrency": 3},
    "rated": {"rate": 50.0, "burst": 6},
    "keyed": {"key_rate": 150.0, "key_burst": 3, "key_concurrency": 4},
    "both": {"rate": 80.0, "burst": 5, "key_rate": 60.0, "key_burst": 2, "concurrency": 9},
}
UNKNOWN = "unknown"  # nobody declares it
CONNECTIONS = 3


class World:
    """``ids``: jobs whose enqueue has committed. ``held``: those of open transactions."""

    def __init__(self, dsn: str, seed: int, flows: Mapping[str, Settings] = FLOWS) -> None:
        self.dsn = dsn
        self.draw = random.Random(seed)
        self.flows = dict(flows)
        self.names = [*flows, UNKNOWN]
        self.ids: set[int] = set()
        self.callers: list[Caller] = []
        self.producers: list[Life] = []
        self.held: dict[int, list[int]] = {}  # number of a producer -> ids
        self.admissions: dict[str, list[Admission]] = {name: [] for name in self.names}
        self.story: list[str] = []

    async def open(self) -> None:
        self.look = await connect_life(self.dsn)
        await self.look.sql(
            "truncate @.job, @.history, @.dead, @.flow, @.flow_key, @.line, @.ticket,"
            " @.flow_usage, @.queue"
        )
        for _ in range(CONNECTIONS):
            self.callers.append(Caller(await connect_life(self.dsn)))
            self.producers.append(await connect_life(self.dsn, worker=False))
        for name, settings in self.flows.items():
            await self.look.set_flow(name, settings)
        await self.look.sql("insert into @.queue (name) values ('default'), ('other')")
        # The first admission of a flow that nobody knows makes its row, and others wait for that.
        await self.look.sql("insert into @.flow (name) values ($1)", UNKNOWN)

    def close(self) -> None:
        for life in [self.look, *self.producers, *[caller.life for caller in self.callers]]:
            life.connection.terminate()

    def tell(self, *what: object) -> None:
        self.story.append(" ".join(map(str, what)))

    # -- what is there

    async def pick(self, where: str, most: int = 3) -> list[int]:
        """Some jobs of a kind, none of which somebody has locked."""
        rows = await self.look.sql(
            f"select id from @.job where {where} order by id for update skip locked"
        )
        ids = [row["id"] for row in rows]
        return sorted(self.draw.sample(ids, min(len(ids), self.draw.randint(1, most))))

    async def admitted(self, life: Life | None = None) -> dict[int, Any]:
        rows = await (life or self.look).sql(rules.ADMITTED)
        return {row["id"]: row for row in rows}

    @property
    def busy(self) -> set[str]:
        return {caller.open for caller in self.callers if caller.open is not None}

    # -- admissions

    async def admission(
        self, caller: Caller, flow: str, ready_most: int, *, commit: bool = True
    ) -> Any:
        """One admission, with what must hold after it; not committed, it is left open."""
        life = caller.life
        before = await self.admitted(life)
        if not commit:
            await life.sql("begin")
        began = time.monotonic()
        answer = await caller.admit(flow, ready_most)
        ended = time.monotonic()
        self.tell(flow, "admit", ready_most, dict(answer), caller.floors[flow].all)
        assert (answer["admitted"] == -1) == (flow in self.busy)
        after = await self.admitted(life)
        new = {job: row for job, row in after.items() if job not in before}
        assert len(new) == max(0, answer["admitted"])
        assert {row["flow"] for row in new.values()} <= {flow}
        self.fail(await rules.crowded(life, flow, [row["key"] for row in new.values()]), new)
        self.fail(await rules.out_of_order(life, list(new)), new)
        jobs = [(job, row["key"], row["weight"] or 1) for job, row in new.items()]
        if commit:
            caller.kept(flow, answer)
            if jobs:
                self.admissions[flow].append(Admission(began, ended, jobs))
        else:
            caller.open = flow if answer["admitted"] >= 0 else None
            if caller.open is None:
                await life.sql("rollback")
        return answer

    def fail(self, what: Sequence[str], happened: object = True) -> None:
        assert not what or not happened, "\n".join([*self.story[-40:], *what])

    # -- one step, and what holds after each

    async def checked(self, admits: bool) -> None:
        self.fail(await rules.broken(self.look))
        now = await self.admitted()
        if not admits:
            new = sorted(set(now) - set(self._before))
            self.fail([f"I4: {job} was admitted by something else" for job in new])
        for caller in self.callers:
            for flow, floors in caller.floors.items():
                low = [
                    j
                    for j, r in now.items()
                    if r["flow"] == flow and r["position"] <= floors.position
                ]
                self.fail([f"I5: {job} lies below a floor" for job in low])
        self._before = now

    _before: Mapping[int, Any] = {}
