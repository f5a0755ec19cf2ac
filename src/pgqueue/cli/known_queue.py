"""A queue that an operator names is one that is there: another name may be a slip."""

from __future__ import annotations

from pgqueue.app import App
from pgqueue.cli.output import Failed
from pgqueue.client import Client
from pgqueue.config import check_queue
from pgqueue.errors import nearest

__all__ = ["refuse_unknown"]


def refuse_unknown(client: Client, queue: str, advice: str) -> None:
    """Refuse a name that no job, no worker and no task of the app has."""
    known = [known.name for known in client.queues()]
    if isinstance(client, App):
        known += [task.queue for task in client.tasks]
    if check_queue(queue) not in known:
        raise Failed(f'no queue is named "{queue}"{nearest(queue, known)}{advice}')
