"""Ten minutes in which nothing happens."""

from __future__ import annotations

import time

from chaos.figures.place import Bench
from chaos.figures.row import Row

__all__ = ["idle"]

_SECONDS = 600.0
_WARM_UP = 30.0
_GROWTH_MB = 1.0


def idle(bench: Bench) -> list[Row]:
    """A supervisor and two processes with nothing to do, after something to do."""
    seconds, warm_up = (_SECONDS, _WARM_UP) if not bench.quick else (20.0, 5.0)
    with bench.place("idle") as place, place.host() as host:
        host.until_ready()
        place.until_finished(place.enqueue_many("touch", [{}] * 1000))
        time.sleep(warm_up)
        used, held, since = host.cpu_seconds(), host.resident_mb(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - since
        shares = [(now - used[pid]) / took for pid, now in host.cpu_seconds().items()]
        after = host.resident_mb()
    growth = [after[pid] - mb for pid, mb in held.items() if pid in after]
    name = f"idle for {seconds:g} s"
    return [
        Row(
            figure=f"{name}: of a core, the busiest process",
            value=100 * max(shares),
            unit="%",
            target=1.0,
            note=f"the host, {len(shares)} processes: {100 * sum(shares):.2f} %",
        ),
        Row(
            figure=f"{name}: memory grown by, the worst process",
            value=max(growth),
            unit="MB",
            target=_GROWTH_MB,
            note=f"{max(after.values()):.0f} MB at the end",
        ),
    ]
