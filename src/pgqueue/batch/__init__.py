"""Tasks whose handler takes many jobs at once."""

from pgqueue.batch.batch import Batch, BatchTransaction, current_batch
from pgqueue.batch.task import BatchTask, check_batch

__all__ = ["Batch", "BatchTask", "BatchTransaction", "check_batch", "current_batch"]
