"""The app of `python -m benchmarks.schedules`: schedules are rows, and their jobs do nothing."""

from __future__ import annotations

import pgqueue

app = pgqueue.App()


@app.task
async def tick() -> None: ...
