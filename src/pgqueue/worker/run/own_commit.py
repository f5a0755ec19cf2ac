"""With what a handler's transaction completes its job: alone, or in one message with the commit.

In the message the completion stands first. It fails where the receipt is not good any more, and the
server skips what is behind a statement that failed: the commit above all. Once a session it is
prepared, so that the server need not plan it anew; behind a pooler, which has no session, it comes
with its values in it.
"""

from __future__ import annotations

from typing import Any

from pgqueue.db.exchange import RESET
from pgqueue.db.statements import statement
from pgqueue.running import RunningJob

__all__ = [
    "BEGIN",
    "Message",
    "completing",
    "is_forgotten",
    "is_receipt_refused",
    "is_refused",
    "last_message",
]

BEGIN = "begin"

# A plan is made here and nowhere else, and may be kept for as long as the session lives: the table
# may be empty now, and full then. A trigger that is deferred to the commit has it, too.
_PLAN = "set local enable_seqscan = off"
_REFUSED = "22P02"
_REFUSAL = "pgqueue: the receipt is not good any more"  # as in sql/parts/fenced_state.sql
_COUNT = "count_prepared"
_TYPES = {
    "complete_own_job": "(bigint, bigint)",
    "complete_own_flow_job": "(bigint, bigint, float8)",
}
# Constraints, other transactions, and triggers that raise.
_OF_COMMITS = ("23", "40", "P0")


class Message:
    """``text``: what is sent. ``prepares``: what the session has prepared once it succeeded."""

    __slots__ = ("prepares", "text")

    def __init__(self, text: str, prepares: tuple[str, ...] = ()) -> None:
        self.text = text
        self.prepares = prepares


def last_message(
    schema: str,
    job: RunningJob,
    *,
    prepared: set[str] | None,
    begin: bool = False,
    count: bool = False,
) -> Message:
    """Return what completes the job, commits, and cleans the session.

    ``prepared``: what the session has prepared; None: it is ours within a transaction only.
    ``begin``: the next job's transaction is begun with it. Cleaning is no part of that.
    ``count``: its answer is how many statements others have prepared in the session.
    """
    name, values = _of(job)
    if prepared is None:
        parts = [_PLAN, _filled_in(statement(name, schema), values), "commit"]
        return Message(";".join([*parts, BEGIN] if begin else parts))
    needed = (name, _COUNT) if count else (name,)
    prepares = tuple(one for one in needed if one not in prepared)
    parts = [_PLAN]
    parts += [
        f"prepare pgqueue_{one}{_TYPES.get(one, '')} as {statement(one, schema)}"
        for one in prepares
    ]
    parts += [f"execute pgqueue_{name}({', '.join(values)})", "commit"]
    parts += [BEGIN, RESET, "commit", BEGIN] if begin else [RESET]
    if count:
        parts.append(f"execute pgqueue_{_COUNT}")
    return Message(";".join(parts), prepares)


def is_refused(sqlstate: str | None) -> bool:
    """True if a commit was surely not carried out: what cleans a session does not fail so.

    Said of a last message that failed when no transaction was open any more.
    """
    return sqlstate is not None and sqlstate[:2] in _OF_COMMITS


def is_receipt_refused(sqlstate: str | None, message: str) -> bool:
    """True if a completion failed because its receipt is not good any more."""
    return sqlstate == _REFUSED and _REFUSAL in message


def is_forgotten(sqlstate: str | None) -> bool:
    """True if the handler has deallocated what was prepared: the session must be done with."""
    return sqlstate == "26000"


def completing(schema: str, job: RunningJob) -> tuple[Any, ...]:
    """Return the statement that answers 1 if the receipt was good, and its values after it."""
    if job.flow is None:
        return statement("complete_job", schema), job.id, job.token
    return statement("complete_flow_job", schema), job.id, job.token, job.used


def _of(job: RunningJob) -> tuple[str, list[str]]:
    """Return the statement's name, and its values as SQL. They are numbers: nothing to quote."""
    receipt = [str(int(job.id)), str(int(job.token))]
    if job.flow is None:
        return "complete_own_job", receipt
    return "complete_own_flow_job", [
        *receipt,
        "null" if job.used is None else repr(float(job.used)),
    ]


def _filled_in(sql: str, values: list[str]) -> str:
    for number, value in enumerate(values, 1):
        sql = sql.replace(f"${number}::", f"({value})::")
    return sql
