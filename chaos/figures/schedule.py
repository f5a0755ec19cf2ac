"""What is measured, in which order, and what at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from chaos.figures.arguments import arguments
from chaos.figures.blocked import blocked
from chaos.figures.failover import failover
from chaos.figures.flat import flat
from chaos.figures.hosts import frozen, pooled, vanished
from chaos.figures.idle import idle
from chaos.figures.kills import child, whole
from chaos.figures.memory import memory
from chaos.figures.outage import outage
from chaos.figures.place import Bench
from chaos.figures.poison import poison
from chaos.figures.restart import restart
from chaos.figures.row import Row
from chaos.figures.silence import silence
from chaos.figures.stops import grace, stops

__all__ = ["FIGURES", "Measured", "measure_all"]

Measure = Callable[[Bench], list[Row]]

FIGURES: dict[str, Measure] = {
    "child": child,
    "whole": whole,
    "frozen": frozen,
    "vanished": vanished,
    "pooled": pooled,
    "blocked": blocked,
    "restart": restart,
    "outage": outage,
    "failover": failover,
    "silence": silence,
    "poison": poison,
    "arguments": arguments,
    "memory": memory,
    "stops": stops,
    "grace": grace,
    "flat": flat,
    "idle": idle,
}

# What idles does so all the while. What mostly waits is measured at the same time; what keeps the
# machine busy is not measured beside what has to be quick.
THROUGHOUT = ("idle",)
STAGES: Sequence[Collection[str]] = (
    ("child",),
    ("whole",),
    ("stops",),
    ("restart",),
    ("frozen", "vanished", "pooled", "blocked", "grace", "failover"),
    ("silence",),
    ("poison",),
    ("arguments", "memory"),
    ("flat", "outage"),
)
# Shortened waits leave little to wait for: what is correct shows at any speed.
QUICK_STAGES: Sequence[Collection[str]] = (
    ("child", "whole", "frozen", "vanished", "pooled", "blocked", "outage", "failover", "silence"),
    ("stops", "restart", "memory", "grace"),
    ("poison", "arguments", "flat"),
)


@dataclass(frozen=True)
class Measured:
    """The rows of one figure, and how long they took."""

    name: str
    rows: list[Row]
    seconds: float


def measure_all(
    bench: Bench, names: Collection[str], *, told: Callable[[Measured], None]
) -> list[Measured]:
    """Measure these; ``told`` hears of each as it is there. In the order of FIGURES."""
    found: dict[str, Measured] = {}

    def measure(name: str) -> None:
        found[name] = _measured(name, bench)
        told(found[name])

    with ThreadPoolExecutor(len(FIGURES), thread_name_prefix="figures") as threads:
        aside = [threads.submit(measure, name) for name in THROUGHOUT if name in names]
        for stage in QUICK_STAGES if bench.quick else STAGES:
            _settle([threads.submit(measure, name) for name in stage if name in names])
        _settle(aside)
    return [found[name] for name in FIGURES if name in found]


def _settle(futures: Sequence[Future[None]]) -> None:
    for future in futures:
        future.result()


def _measured(name: str, bench: Bench) -> Measured:
    """A measurement that breaks off is a row that misses, and the rest goes on."""
    began = time.monotonic()
    try:
        rows = FIGURES[name](bench)
    except Exception as exc:
        text = " ".join(f"{type(exc).__name__}: {exc}".split())
        rows = [Row(figure=name, value=None, unit="", target=0, note=f"broken off: {text[:300]}")]
    return Measured(name, rows, time.monotonic() - began)
