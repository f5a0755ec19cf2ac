"""The app, and its task."""

from __future__ import annotations

from pathlib import Path

import pgqueue

from pipeline.database import DATABASE_URL
from pipeline.parse import BadFile, parse

__all__ = ["app", "load"]

app = pgqueue.App(DATABASE_URL)


@app.task(max_attempts=5, timeout=600, retry=pgqueue.Backoff(base=2, give_up_on=(BadFile,)))
def load(path: str) -> None:
    """Write the sales of a file.

    They are committed together with the completion of this job: a worker may die at any line, and
    each sale is there once. A bad file becomes a dead letter at once. Any other error, such as a
    disk that is away, is tried again.
    """
    sales = list(parse(Path(path)))
    with pgqueue.current_job().transaction() as transaction:
        transaction.cursor().executemany(
            "insert into sale values (%s, %s, %s, %s, %s)", [(path, *sale) for sale in sales]
        )
        transaction.execute(
            "update file set loaded_at = now(), sales = %s where path = %s", (len(sales), path)
        )
