"""The worker and its machines."""

from pgqueue.worker.worker import Statistics, Worker

__all__ = ["Statistics", "Worker"]
