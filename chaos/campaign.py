"""The whole: a long torture in the plain arena, a shorter one in each other, and one verdict."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chaos.arenas import ARENAS
from chaos.arenas.ground import BASE, Ground, newest
from chaos.checker import Verdict
from chaos.load import read_lines
from chaos.plan import draw, lines
from chaos.setup import Setup
from chaos.torture import CATALOGUE, torture
from tests.harness.servers import own_server

__all__ = ["PLAIN", "TOURED", "Part", "names_in", "run_arena", "seconds_of"]

PLAIN = "plain"
TOURED: tuple[str, ...] = ("standby-sync", "standby-async", "multi-host", "pgbouncer", "hostile")
"""The arenas that each get a run of their own in the whole."""

_SHARE = 0.05
_SHORTEST = 30.0
_OFTEN = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One run of the whole. ``faults``: how many of each kind struck."""

    name: str
    seconds: float
    verdict: Verdict
    faults: Counter[str] = field(default_factory=Counter)


def seconds_of(total: float, parts: Sequence[str]) -> dict[str, float]:
    """Share a time out: a twentieth to each arena, or half a minute; the rest to the plain one."""
    arenas = TOURED if "arenas" in parts else ()
    each = max(_SHARE * total, _SHORTEST)
    shared = dict.fromkeys(arenas, each)
    if "torture" in parts:
        shared = {PLAIN: max(total - each * len(arenas), _SHORTEST), **shared}
    return shared


def names_in(ground: Ground) -> list[str]:
    """The faults of an arena, its own several times: they are what it is there for."""
    return [name for name in CATALOGUE if name not in ground.without] + [*ground.faults] * _OFTEN


@contextmanager
def _plain() -> Generator[Ground]:
    with own_server(newest(), settings=BASE) as server:
        yield Ground(server)


def run_arena(
    name: str, setup: Setup, home: Path, *, choose: Callable[[Ground], list[str]], quiet: bool
) -> Part:
    """Make an arena, run a torture in it, check it. What a failed one wrote is kept in ``home``."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    make = _plain if name == PLAIN else ARENAS[name]
    with make() as ground:
        plan = draw(setup.seed, setup.seconds, choose(ground))
        (home / "plan.txt").write_text(f"seed {setup.seed}\n{lines(plan)}")
        print(f"{name}: {setup.seconds:.0f} s, seed {setup.seed}; histories in {home}", flush=True)
        verdict = torture(ground, setup, plan, home, quiet=quiet)
        if not verdict.ok and ground.server.cluster is not None:
            log = ground.server.cluster.log_file
            if log.exists():
                shutil.copy(log, home / "server.log")
    verdict.save(home / "verdict.json")
    struck = Counter(
        str(line["name"])
        for path in home.glob("conductor-*.jsonl")
        for line in read_lines(path)
        if line["f"] == "heal" and not line["problem"]
    )
    return Part(name, setup.seconds, verdict, struck)
