"""A program whose signals' handlers raise while blocking calls are under way; run as a child.

    python interrupted.py KIND TIMES SEED

Enqueues in the main thread, and is interrupted at a moment that the seed draws. Prints, as JSON,
which jobs were acknowledged, and what was raised in place of the others.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from types import FrameType

from pgqueue import App


class Late(Exception):
    """As a program's own timeout."""


KINDS: dict[str, type[BaseException]] = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": SystemExit,
    "TimeoutError": TimeoutError,  # an OSError, which drivers take for theirs
    "Late": Late,
}


def main() -> None:
    kind, times, seed = KINDS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
    draw = random.Random(seed)
    armed = False

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        if armed:
            raise kind

    signal.signal(signal.SIGALRM, on_alarm)
    app = App()
    job = app.job("t", {"n": -1})
    app.enqueue_job(job, None)
    began = time.perf_counter()
    for _ in range(20):
        app.enqueue_job(job, None)
    usual = (time.perf_counter() - began) / 20
    done: list[int] = []
    raised: dict[str, int] = {}
    for n in range(times):
        job = app.job("t", {"n": n})
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, usual * draw.uniform(0, 3)))
            app.enqueue_job(job, None)
            armed = False
            done.append(n)
        except BaseException as exc:
            armed = False
            raised[repr(exc)] = raised.get(repr(exc), 0) + 1
        signal.setitimer(signal.ITIMER_REAL, 0)
    app.enqueue_job(app.job("t", {"n": times}), None)
    print(json.dumps({"done": [*done, times], "raised": raised}))
    app.close()


if __name__ == "__main__":
    main()
