"""A flow as code declares it: ``Flow``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from pgqueue.errors import ConfigError, shown
from pgqueue.flow.names import check_flow
from pgqueue.flow.settings import OnDead, check_settings

__all__ = ["Flow", "Key"]

Key = (
    str
    | Callable[[Any], object]
    | Callable[[Any, Any], object]
    | Callable[[Any, Any, Any], object]
    | Callable[[Any, Any, Any, Any], object]
)
"""The name of a parameter, or a function of parameters by their names."""

_OF_KEYS = ("key_concurrency", "key_rate", "key_burst")
_LIMITS = ("concurrency", "rate", "key_concurrency", "key_rate", "max_waiting")


@dataclass(frozen=True, slots=True)
class Flow:
    """Limits that jobs share, for the whole fleet: ``@app.task(flow=Flow("crm", concurrency=20))``.

    ``name``: tasks that name the same flow share it. ``concurrency``: so many of its jobs run at
    once. ``rate``: so many begin in a time, as in "100/s", "60/min", "1000/h" or "5/day";
    ``burst``: so many of them at once after a pause, 1 by default.

    ``key``: what tells a tenant, a customer or an account from the others: the name of a parameter
    of the task; or a function of some of its parameters, by their names, which returns text, a
    whole number or a UUID. ``key_concurrency``, ``key_rate``, ``key_burst``: the same for the jobs
    of each key. ``max_waiting``: so many jobs of a key may wait in line, or of a flow without keys.
    Keys take turns; ``fair`` says that this is all a flow is for.

    ``ordered``: the jobs of a key run one after another, in the order of their enqueues, retries
    included. ``on_dead``: "halt" stops a key at a dead letter until somebody resumes it; "skip"
    goes on with the next job. The default is "halt".

    An operator can change the limits while workers run. Raises ConfigError for a wrong value.
    """

    name: str
    _: KW_ONLY
    concurrency: int | None = None
    rate: str | None = None
    burst: int | None = None
    key: Key | None = None
    key_concurrency: int | None = None
    key_rate: str | None = None
    key_burst: int | None = None
    fair: bool = False
    ordered: bool = False
    on_dead: OnDead | None = None
    max_waiting: int | None = None

    def __post_init__(self) -> None:
        check_flow(self.name)
        try:
            check_settings(self._given())
            self._check_together()
        except ConfigError as exc:
            raise ConfigError(f'flow "{self.name}": {exc}') from None

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the table ``flow`` stores: no defaults, and rates in jobs a second."""
        stored = check_settings(self._given())
        if self.ordered:
            stored |= {"key_concurrency": 1, "on_dead": self.on_dead or "halt"}
        return stored

    def _given(self) -> Mapping[str, object]:
        names = (*_LIMITS, "burst", "key_burst", "on_dead", "fair", "ordered")
        given = {name: getattr(self, name) for name in names}
        return {k: v for k, v in given.items() if v is not None and v is not False}

    def _check_together(self) -> None:
        self._check_key()
        for burst, rate in (("burst", "rate"), ("key_burst", "key_rate")):
            if getattr(self, burst) is not None and getattr(self, rate) is None:
                raise ConfigError(f'{burst} needs {rate}; write {rate}="100/s"')
        if self.ordered and self.key_concurrency not in (None, 1):
            raise ConfigError(
                "ordered=True runs one job of a key at a time; leave key_concurrency out, "
                f"got {self.key_concurrency}"
            )
        if self.on_dead is not None and not self.ordered:
            raise ConfigError("on_dead belongs to ordered=True, where a dead job has followers")
        if not (self.fair or self.ordered or any(getattr(self, name) for name in _LIMITS)):
            raise ConfigError(
                'it limits nothing; give concurrency=20 or rate="100/s", or with a key '
                "key_concurrency=2, fair=True or ordered=True"
            )

    def _check_key(self) -> None:
        key: object = self.key
        if key is None:
            for name in _OF_KEYS:
                if getattr(self, name) is not None:
                    raise ConfigError(f'{name} needs a key; write key="name_of_a_parameter"')
            if self.fair:
                raise ConfigError(
                    'fair=True needs a key, whose jobs take turns; write key="name_of_a_parameter"'
                )
        elif inspect.iscoroutinefunction(key):
            raise ConfigError("key must be a function without async; each enqueue calls it")
        elif not (callable(key) or (isinstance(key, str) and key.isidentifier())):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"key must be the name of a parameter, or a function of parameters, got "
                f"{shown(key)}"
            )
