"""All mistakes, by what somebody was about to do."""

from __future__ import annotations

from tests.mistakes.arguments import ARGUMENTS
from tests.mistakes.command_line import COMMAND_LINE, WAITING
from tests.mistakes.connecting import CONNECTING
from tests.mistakes.decoration import DECORATION
from tests.mistakes.enqueue import ENQUEUE, MIXED
from tests.mistakes.flows import FLOWS
from tests.mistakes.transactions import TRANSACTIONS
from tests.mistakes.workers import WORKERS

__all__ = ["TABLE"]

TABLE = {
    "Making a task": DECORATION,
    "Arguments": ARGUMENTS,
    "Enqueueing": ENQUEUE,
    "Flows": FLOWS,
    "Async and sync": MIXED,
    "Apps and databases": CONNECTING,
    "Transactions": TRANSACTIONS,
    "Workers and jobs": WORKERS,
    "The command line": COMMAND_LINE,
    "A job does not run": WAITING,
}
