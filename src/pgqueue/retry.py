"""Backoff policies: (attempt, error) -> seconds to wait, or None to give up.

A policy is asked about single errors: of an exception group about each in it. One None gives up,
else the longest wait counts.
"""

from __future__ import annotations

import inspect
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from pgqueue.config import LONGEST_DELAY, check_seconds
from pgqueue.errors import ConfigError, shown
from pgqueue.failure import describe

__all__ = ["Backoff", "RetryPolicy", "check_policy", "delay_of", "delay_when_asked"]

log = logging.getLogger("pgqueue.worker")

RetryPolicy = Callable[[int, BaseException], "float | timedelta | None"]
"""A function of the attempt, 1 for the first, and its error: seconds to wait, or None to give up.

A ``Backoff`` is one. Where it raises, or returns something else, the default decides, and a warning
says so once.
"""

_faulty: set[int] = set()
"""The ids of policies whose fault was logged."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter: ``base * factor ** (attempt - 1)``, at most ``cap`` seconds.

    ``base`` is the first wait in seconds, ``factor`` (1 or more) how much longer each next one is,
    ``jitter`` a share from 0 to 1. ConfigError for other values. Each delay is spread evenly over
    ``1 - jitter`` to ``1 + jitter`` times that, and stays within 0 and ``cap`` for any attempt
    number. Errors of the types in ``give_up_on`` are not tried again; with ``only_on``, all others
    are not. Of an ``ExceptionGroup``, as a ``TaskGroup`` raises it, each error in it is asked
    about. A ``Retry`` is always tried again.
    """

    base: float = 1.0
    factor: float = 2.0
    cap: float = 3600.0
    jitter: float = 0.2
    give_up_on: tuple[type[BaseException], ...] = ()
    only_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("base", "cap"):
            put(self, name, check_seconds(getattr(self, name), name))
        for name, low, high in (("factor", 1.0, 1000.0), ("jitter", 0.0, 1.0)):
            number: object = getattr(self, name)
            if (
                isinstance(number, bool)
                or not isinstance(number, (int, float))
                or not low <= number <= high
            ):
                raise ConfigError(f"{name} must be from {low:g} to {high:g}, got {number!r}")
        for name in ("give_up_on", "only_on"):
            put(self, name, _exception_types(getattr(self, name), name))

    def __call__(self, attempt: int, error: BaseException) -> float | None:
        if isinstance(error, self.give_up_on):
            return None
        if self.only_on and not isinstance(error, self.only_on):
            return None
        return self.delay(attempt)

    def delay(self, attempt: int, rand: Callable[[], float] = random.random) -> float:
        """Return the seconds to wait after ``attempt`` (1 for the first)."""
        exponent = min(max(attempt - 1, 0), 1100)
        try:
            full = self.base * self.factor**exponent
        except OverflowError:
            full = self.cap if self.base else 0.0
        full = min(full, self.cap)
        return min(self.cap, max(0.0, full * (1.0 + self.jitter * (2.0 * rand() - 1.0))))


def _exception_types(kinds: object, name: str) -> tuple[type[BaseException], ...]:
    if not isinstance(kinds, (tuple, list, set, frozenset)):
        said = f"; write ({kinds.__name__},)" if isinstance(kinds, type) else ""
        raise ConfigError(f"{name} must be a tuple of exception types, got {kinds!r}{said}")
    checked: list[type[BaseException]] = []
    for kind in cast("Iterable[object]", kinds):
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ConfigError(f"{name} must hold exception types, got {kind!r}")
        if issubclass(kind, BaseExceptionGroup):
            raise ConfigError(
                f"{name} holds {kind.__name__}, and a policy is asked about each error in a group; "
                "name their types"
            )
        checked.append(kind)
    return tuple(checked)


def check_policy(policy: object) -> RetryPolicy:
    """Return a policy that can be asked; ConfigError where each question would fail."""
    wanted = "retry must be a Backoff or a function (attempt, error) -> seconds or None"
    if isinstance(policy, type):
        raise ConfigError(f"{wanted}, got the class {policy.__name__}; write {policy.__name__}()")
    if not callable(policy):
        raise ConfigError(
            f"{wanted}, got {policy!r}; how often is max_attempts=N, how long between is "
            "Backoff(base=seconds)"
        )
    if inspect.iscoroutinefunction(policy):
        raise ConfigError(f"{wanted}, got {shown(policy)}, which is async; write def")
    try:
        inspect.signature(policy).bind(1, Exception())
    except TypeError:
        raise ConfigError(f"{wanted}, got {shown(policy)}, which takes other arguments") from None
    except ValueError:
        pass  # a function in C may have no signature
    return cast("RetryPolicy", policy)


def delay_of(policy: RetryPolicy, attempt: int, error: BaseException) -> float | None:
    """Ask a policy, which is user code: a wrong answer or an error of its own means the default.

    The first such fault of a policy is logged.
    """
    try:
        answer = policy(attempt, error)
        if answer is None:
            return None
        return min(max(check_seconds(answer, "retry delay"), 0.0), LONGEST_DELAY)
    except BaseException as exc:
        if id(policy) not in _faulty:
            _faulty.add(id(policy))
            fault = describe(exc)
            log.warning(
                "a retry policy failed, and the default decides in its place: %s: %s",
                fault.type,
                fault.message,
            )
        return Backoff().delay(attempt)


def delay_when_asked(policy: RetryPolicy, attempt: int, error: BaseException) -> float:
    """As ``delay_of``, where the task asked for another attempt: no policy gives up on that."""
    delay = delay_of(policy, attempt, error)
    if delay is None and isinstance(policy, Backoff):
        delay = delay_of(lambda number, _: policy.delay(number), attempt, error)
    return Backoff().delay(attempt) if delay is None else delay
