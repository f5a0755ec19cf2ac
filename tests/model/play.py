"""Plays transactions against each other in a given order of their steps, as isolationtester does.

A step that waits for a lock is left to wait: the others go on, and its session does what it owes as
soon as it is let through.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.db.hands import Hands
from tests.model.arena import IDS, TOKEN, UNITS, WORKER, Arena
from tests.model.model import Transaction, World, permitted
from tests.model.ops import OPERATORS, SCRIPTS, Hand

__all__ = ["LETTERS", "LEVELS", "Wrong", "merges", "play", "steps"]

LEVELS = ("read committed", "repeatable read", "serializable")
LETTERS = "ABCDE"
_PROBE_SECONDS = 0.003
_STUCK_SECONDS = 30.0
# What is tried again: a transaction that could not be put in order, a lock not had in time.
_AGAIN = ("40001", "55P03")
_TRIES = 5
# These must not wait for a row that somebody has locked; only for those named here.
PROMPT = {
    "claim": (),
    "promote": (),
    "heartbeat": ("heartbeat", "rescue"),
    "rescue": ("retention",),
}


class Wrong(AssertionError):
    """A schedule that came to something the model does not permit."""


def steps(op: str) -> int:
    """How many steps: begin, its statements, commit."""
    return len(SCRIPTS[op]) + 2


def merges(*lengths: int) -> Iterator[str]:
    """Every order of so many steps of A, of B, of C."""
    if not any(lengths):
        yield ""
    for n, length in enumerate(lengths):
        if length:
            rest = (*lengths[:n], length - 1, *lengths[n + 1 :])
            yield from (LETTERS[n] + order for order in merges(*rest))


@dataclass
class Player:
    """A session with its script. ``owed``: steps whose turn came while it waited."""

    me: str
    op: str
    hands: Hands
    pid: int
    level: str
    hand: Hand
    at: int = 0
    owed: int = 0
    began: int = 0
    first: int = 0
    ended: int = 0
    tries: int = 0
    waits: asyncio.Task[None] | None = None
    failed: bool = False
    trail: list[str] = field(default_factory=list[str])

    @property
    def waiting(self) -> bool:
        return self.waits is not None

    @property
    def over(self) -> bool:
        return self.at == steps(self.op)

    async def step(self) -> None:
        if self.at == 0:
            await self._begin()
        elif self.at == steps(self.op) - 1:
            await self.hands.connection.execute("commit")
        else:
            await SCRIPTS[self.op][self.at - 1](self.hand)

    async def _begin(self) -> None:
        # The snapshot that the higher levels keep is taken here.
        await self.hands.connection.execute(
            f"begin isolation level {self.level}; select pg_current_snapshot()"
        )
        if self.op in OPERATORS:
            await self.hands.run("limit_session", "20000", "off")


class Play:
    def __init__(self, arena: Arena, players: list[Player]) -> None:
        self.arena = arena
        self.players = {player.me: player for player in players}
        self.clock = 0

    async def run(self, order: str) -> None:
        for me in order:
            await self._turn(self.players[me])
            await self._collect()
        deadline = time.monotonic() + _STUCK_SECONDS
        while waiting := [p.waits for p in self.players.values() if p.waits]:
            if time.monotonic() > deadline:
                raise Wrong("a statement waits for nobody")
            await asyncio.wait(waiting, timeout=_PROBE_SECONDS, return_when="FIRST_COMPLETED")
            await self._collect()
        for player in self.players.values():
            while player.failed:
                await self._anew(player)

    async def _turn(self, player: Player) -> None:
        """The player's next step, unless it waits, or is to begin anew when the others are done."""
        if player.waits is not None:
            player.owed += 1
        elif not player.failed:
            self.clock += 1
            if player.at == (1 if player.level == LEVELS[0] else 0):
                player.began = self.clock
                player.first = player.first or self.clock
            player.waits = asyncio.ensure_future(player.step())
            await self._settle(player)

    async def _settle(self, player: Player) -> bool:
        """Return once its step is done, or waits for another player; True if it is done."""
        task = player.waits
        assert task is not None
        deadline = time.monotonic() + _STUCK_SECONDS
        while not (await asyncio.wait([task], timeout=_PROBE_SECONDS))[0]:
            blockers = await self.arena.admin.value("select pg_blocking_pids($1)", player.pid)
            if set(blockers) & {p.pid for p in self.players.values()}:
                self._may_wait(player, blockers)
                return False
            if time.monotonic() > deadline:
                raise Wrong(f"{player.me} ({player.op}) neither ends nor waits for a player")
        player.waits = None
        await self._done(player, task)
        return True

    def _may_wait(self, player: Player, blockers: Sequence[int]) -> None:
        others = {p.op for p in self.players.values() if p.pid in blockers}
        if player.op in PROMPT and not others <= set(PROMPT[player.op]):
            raise Wrong(f"{player.me} ({player.op}) waits for {', '.join(sorted(others))}")

    async def _done(self, player: Player, task: asyncio.Task[None]) -> None:
        self.clock += 1
        error = task.exception()
        if error is None:
            player.at += 1
            player.ended = self.clock
            return
        state = getattr(error, "sqlstate", None)
        if state not in _AGAIN or (state == "40001" and player.level == LEVELS[0]):
            raise Wrong(f"{player.me} ({player.op}) failed: {error} ({state})") from error
        player.trail.append(str(state))
        player.failed = True
        player.owed = 0
        await player.hands.connection.execute("rollback")

    async def _collect(self) -> None:
        """Let who is through do what is owed, until nobody is let through any more."""
        moved = True
        while moved:
            moved = False
            for player in self.players.values():
                if player.waits is None or not await self._settle(player):
                    continue
                moved = True
                while player.owed and not player.waiting:
                    player.owed -= 1
                    await self._turn(player)

    async def _anew(self, player: Player) -> None:
        """The whole transaction again, as the product does after a serialization failure."""
        player.failed = False
        player.at = 0
        player.tries += 1
        player.hand.answers.clear()
        player.hand.made.clear()
        if player.tries > _TRIES:
            raise Wrong(f"{player.me} ({player.op}) fails again and again: {player.trail}")
        while not player.over and not player.failed:
            await self._turn(player)


async def play(
    arena: Arena,
    ops: Sequence[str],
    order: str,
    level: str,
    only: Mapping[str, Sequence[str]] | None = None,
    at_least: int = 1,
) -> list[Player]:
    """Play this order from the start; Wrong, if the result is not permitted.

    ``only``: the units that A, B... name; by default each names all of them. ``at_least``: how
    many documents an enqueue has; it repeats the first ones.
    """
    before = await arena.reset(old_day="retention" in ops, next_day="history" in ops)
    players: list[Player] = []
    for n, op in enumerate(ops):
        me = LETTERS[n]
        units = sorted((only or {}).get(me) or before)
        ids = sorted(IDS[unit] for unit in units if unit in IDS)
        hand = Hand(arena.players[n], ids, units, WORKER, TOKEN, n % 2 == 1, at_least)
        players.append(Player(me, op, arena.players[n], arena.pids[n], level, hand))
    try:
        await Play(arena, players).run(order)
        await _check(arena, before, players)
    except BaseException:
        await _clear(players)
        raise
    return players


async def _clear(players: list[Player]) -> None:
    """End what a broken schedule has left open, so that the next one has the sessions."""
    for player in players:
        if player.waits is not None:
            player.waits.cancel()
    await asyncio.gather(*(p.waits for p in players if p.waits), return_exceptions=True)
    for player in players:
        await player.hands.connection.execute("rollback")


async def _check(arena: Arena, before: dict[str, World], players: list[Player]) -> None:
    made = {job_id: player.me for player in players for job_id in player.hand.made}
    holders = {WORKER: "W", TOKEN: "T"}
    for player in players:
        holders |= {player.hands.id: player.me, player.hands.token: player.me}
    after = await arena.look(made, holders)
    said = {player.me: _by_unit(player.hand.answers, made) for player in players}
    for unit, world in before.items():
        there = [player for player in players if unit in player.hand.units]
        results = permitted(
            world, [Transaction(p.me, p.op, p.began, p.ended, p.first) for p in there]
        )
        answers = frozenset((p.me, frozenset(said[p.me][unit].items())) for p in there)
        if (after[unit].frozen(), answers) not in results:
            raise Wrong(_differ(unit, (after[unit].frozen(), answers), results))


def _differ(unit: str, found: Any, results: set[Any]) -> str:
    def lines(result: Any) -> str:
        (jobs, workers), answers = result
        said = "; ".join(f"{me} answers {dict(each)}" for me, each in sorted(answers, key=str))
        return f"    {dict(jobs)}, workers {dict(workers)}; {said}"

    return "\n".join([unit, "  found", lines(found), "  permitted", *map(lines, results)])


def _by_unit(answers: dict[Any, Any], made: dict[int, str]) -> dict[str, dict[Any, Any]]:
    """Answers by unit and the job's name; what is said of the worker belongs to all units."""
    units = {job_id: unit for unit, job_id in IDS.items()}
    found: dict[str, dict[Any, Any]] = {unit: {} for unit in UNITS}
    for key, said in answers.items():
        match key:
            case "W":
                for each in found.values():
                    each["W"] = said
            case (job_id, unit):
                found[unit][made.get(job_id, "old")] = said
            case str(unit):
                found[unit]["old"] = said
            case job_id:
                found[units[job_id]]["old"] = said
    return found
