"""Verbs on flows: ``client.flows.set(...)``, ``await client.flows.aset(...)``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

from pgqueue import admin
from pgqueue.admin.flow_info import FlowInfo, FlowKey, FlowUsage
from pgqueue.config import check_int
from pgqueue.errors import ConfigError
from pgqueue.flow.change import check_changes, check_key_changes
from pgqueue.flow.names import check_flow, check_key
from pgqueue.operations.audited import Audited
from pgqueue.operations.verbs import Base, Work, awaitable, blocking

__all__ = ["FlowLimits", "FlowOperations", "Flows"]

_MOST_KEYS = 1_000
_MOST_DAYS = 3_660


class FlowLimits(TypedDict, total=False):
    """Limits of a flow, for the whole fleet; None: no such limit.

    ``concurrency``: jobs at once; ``key_concurrency``: of each key. ``rate``, ``key_rate``: as
    "100/s" or "60/min"; ``burst``, ``key_burst``: so many tokens may be saved. ``max_waiting``:
    jobs of a key in line. ``weight``: of a key alone; one of weight 3 has three turns where others
    have one.
    """

    concurrency: int | None
    key_concurrency: int | None
    rate: str | None
    burst: int | None
    key_rate: str | None
    key_burst: int | None
    max_waiting: int | None
    weight: float | None


class Flows(Audited):
    """The flows of a schema. Each change is a row of the table ``audit``, and acts at once.

    That row says who changed something, which is user@host unless ``by`` says otherwise. With
    ``connection``, a verb works in the caller's transaction; no job of the flow is admitted until
    that ends.
    """

    @blocking
    def keys(
        self,
        flow: str,
        *,
        stopped: bool = False,
        limit: int = 100,
        after: str | None = None,
        connection: object | None = None,
    ) -> Work[list[FlowKey]]:
        """Return a page of the keys of a flow, by name; the next page begins ``after`` the last.

        They are those that have jobs, and those of which an operator or a halt says something.
        ``stopped``: only keys that are paused, halted or held.
        """
        check_flow(flow)
        size = check_int(limit, "limit", 1, _MOST_KEYS)
        return Work(
            lambda c: admin.list_flow_keys(
                c, self.schema, flow, after=after, limit=size, stopped=stopped
            ),
            connection=connection,
        )

    @blocking
    def set(
        self,
        flow: str,
        *,
        key: str | None = None,
        new: bool = False,
        connection: object | None = None,
        **limits: Unpack[FlowLimits],
    ) -> Work[bool]:
        """Change the limits of a flow, or ``concurrency`` and ``weight`` of a key of it.

        What is not given stays as it is. A change wins over code, also after deploys, until
        ``reset``. True if anything changed. Raises ConfigError for what makes no limit, for a flow
        that is not there, and for a key that has no jobs, unless it is said to be ``new``.
        """
        check_flow(flow)
        if not limits:
            raise ConfigError(f'nothing is given to set of flow "{flow}"')
        if key is None:
            changes = check_changes(limits)
            return Work(
                lambda c: admin.set_flow(c, self.schema, flow, changes, self._actor),
                connection=connection,
            )
        name, changes = _key(key), check_key_changes(limits)
        return Work(
            lambda c: admin.set_flow_key(c, self.schema, flow, name, changes, self._actor, new=new),
            connection=connection,
        )

    @blocking
    def reset(
        self, flow: str, *, key: str | None = None, connection: object | None = None
    ) -> Work[bool]:
        """Let code say again what the limits of a flow are; a key has none of its own any more.

        True if an operator had changed it. A pause stays.
        """
        check_flow(flow)
        if key is None:
            return Work(
                lambda c: admin.reset_flow(c, self.schema, flow, self._actor),
                connection=connection,
            )
        name = _key(key)
        return Work(
            lambda c: admin.reset_flow_key(c, self.schema, flow, name, self._actor),
            connection=connection,
        )

    @blocking
    def pause(
        self,
        flow: str,
        *,
        key: str | None = None,
        new: bool = False,
        connection: object | None = None,
    ) -> Work[bool]:
        """Admit no more jobs of a flow, or of one key, also over deploys; True if it was active.

        What runs is finished; what waits for a worker goes back in line. ``new``: also where the
        key has no jobs yet.
        """
        check_flow(flow)
        if key is None:
            return Work(
                lambda c: admin.pause_flow(c, self.schema, flow, self._actor),
                connection=connection,
            )
        name = _key(key)
        return Work(
            lambda c: admin.pause_flow_key(c, self.schema, flow, name, self._actor, new=new),
            connection=connection,
        )

    @blocking
    def resume(
        self, flow: str, *, key: str | None = None, connection: object | None = None
    ) -> Work[bool]:
        """Admit jobs of a flow, or of one key, again; True if it stood still.

        It ends a pause, the halt of an ordered key, and a break that a server asked for.
        """
        check_flow(flow)
        if key is None:
            return Work(
                lambda c: admin.resume_flow(c, self.schema, flow, self._actor),
                connection=connection,
            )
        name = _key(key)
        return Work(
            lambda c: admin.resume_flow_key(c, self.schema, flow, name, self._actor),
            connection=connection,
        )

    @blocking
    def usage(
        self,
        flow: str,
        *,
        key: str | None = None,
        days: int = 7,
        connection: object | None = None,
    ) -> Work[list[FlowUsage]]:
        """Return what jobs of a flow used, by key and day in UTC, the newest first.

        ``days``: today and those before it. Jobs say what they used with ``job.charge``.
        """
        check_flow(flow)
        back = check_int(days, "days", 1, _MOST_DAYS) - 1
        name = None if key is None else _key(key)
        return Work(
            lambda c: admin.flow_usage(
                c, self.schema, flow, name, datetime.now(UTC).date() - timedelta(days=back)
            ),
            connection=connection,
        )

    # The last of them: behind it, list is this verb in annotations.
    @blocking
    def list(self, *, connection: object | None = None) -> Work[list[FlowInfo]]:
        """Return every flow that is declared, was changed, or has jobs in line, by name."""
        return Work(lambda c: admin.list_flows(c, self.schema), connection=connection)

    alist = awaitable(list)  # noqa: A003
    akeys = awaitable(keys, "Return a page of the keys of a flow, by name; see ``keys``.")
    aset = awaitable(set, "Change the limits of a flow, or of a key of it; see ``set``.")  # noqa: A003
    areset = awaitable(reset)
    apause = awaitable(pause, "Admit no more jobs of a flow, or of one key; see ``pause``.")
    aresume = awaitable(resume)
    ausage = awaitable(usage)


def _key(value: str) -> str:
    """Return a key; that of a flow without keys is empty."""
    return "" if value == "" else check_key(value, "key")


class FlowOperations(Base):
    """``flows``, and its verbs."""

    @property
    def flows(self) -> Flows:
        """The flows of this schema: ``list``, ``keys``, ``set``, ``pause`` and other verbs."""
        return Flows(self)
