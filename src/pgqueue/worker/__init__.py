"""The worker and its machines."""

from pgqueue.worker.in_thread import WorkerThread
from pgqueue.worker.worker import Statistics, Worker

__all__ = ["Statistics", "Worker", "WorkerThread"]
