"""The campaign's tasks, and one whose transaction is in a thread."""

from __future__ import annotations

from chaos.tasks import app, noted
from pgqueue import Backoff, current_job

__all__ = ["app"]


@app.task(queue="main", retry=Backoff(base=0.2, factor=1.5, cap=3.0))
def thread_effect(k: int) -> None:
    """Write in the transaction that completes the job, from a thread."""
    job = current_job()
    with noted(job, "effect", k) as note:
        with job.transaction() as tx:
            tx.execute(
                "insert into chaos.effect_tx (job, token) values (%s, %s)", (job.id, job.token)
            )
        note.outcome = "tx"
