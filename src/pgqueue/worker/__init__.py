"""The worker and its machines."""

from pgqueue.worker.in_thread import WorkerThread
from pgqueue.worker.worker import Statistics, Worker
from pgqueue.worker.workers import Workers

__all__ = ["Statistics", "Worker", "WorkerThread", "Workers"]
