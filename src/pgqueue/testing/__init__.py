"""Tests of your own code: what it has enqueued, and what its jobs do, in the test's transaction.

``Kit`` has all of it for one app and one connection; the fixture ``pgq`` of the pytest plugin is
one. The functions here do the same for a single call.
"""

from pgqueue.drained import Drained, FailedAttempt
from pgqueue.testing.connect import atransaction, transaction
from pgqueue.testing.expect import Wanted
from pgqueue.testing.kit import Kit
from pgqueue.testing.plain import (
    aassert_enqueued,
    adrain,
    aenqueued,
    arefute_enqueued,
    assert_enqueued,
    drain,
    enqueued,
    refute_enqueued,
)
from pgqueue.testing.unit import running_job

__all__ = [
    "Drained",
    "FailedAttempt",
    "Kit",
    "Wanted",
    "aassert_enqueued",
    "adrain",
    "aenqueued",
    "arefute_enqueued",
    "assert_enqueued",
    "atransaction",
    "drain",
    "enqueued",
    "refute_enqueued",
    "running_job",
    "transaction",
]
