"""How long it takes to find the next slot of a schedule: ``python -m benchmarks.next_slot``.

Expressions take turns, so that what else the machine does hits all alike. A figure is the median
of the turns, and the least in parentheses, in microseconds a slot; each turn walks from slot to
slot. The expression has been read before, as it has in a worker.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from datetime import UTC, datetime

from pgqueue.schedule.when import Cron

__all__ = ["EXPRESSIONS", "main", "measure"]

EXPRESSIONS = (
    "*/5 * * * *",
    "* * * * * *",
    "30 2 * * *",
    "*/7 8-17 * * MON-FRI",
    "0 9 * * MON#5",
    "0 9 * FEB MON#5",
    "0 9 LW * *",
    "0 9 * * 5L",
    "0 12 31 * *",
    "0 0 29 2 *",
    "0 0 29 2 */7",
)
ZONES = ("UTC", "Europe/Berlin")
MOST_US = 50.0
_START = datetime(2027, 1, 15, tzinfo=UTC)


def measure(expression: str, zone: str, slots: int) -> float:
    """Walk over so many slots; return the microseconds that each took."""
    cron, at = Cron(expression, zone), _START
    began = time.perf_counter()
    for _ in range(slots):
        at = cron.following(at)
    return 1e6 * (time.perf_counter() - began) / slots


def main() -> None:
    """Measure in turns, print a table, and fail if a slot takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="how many turns; 20")
    parser.add_argument("--slots", type=int, default=100, help="how many slots a turn walks; 100")
    options = parser.parse_args()
    cases = [(expression, zone) for expression in EXPRESSIONS for zone in ZONES]
    for case in cases:
        measure(*case, options.slots)  # the first one reads the expression
    found: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for _ in range(options.times):
        for case in cases:
            found[case].append(measure(*case, options.slots))
    print(f"{'':22} {'':14} {'us a slot':>15}")
    for (expression, zone), figures in found.items():
        shown = f"{statistics.median(figures):.1f} ({min(figures):.1f})"
        print(f"{expression:22} {zone:14} {shown:>15}")
    worst = max(statistics.median(figures) for figures in found.values())
    print(f"the next slot takes {worst:.1f} us at worst; at most {MOST_US:.0f}")
    if worst > MOST_US:
        sys.exit("the next slot takes too long")


if __name__ == "__main__":
    main()
