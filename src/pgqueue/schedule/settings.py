"""What a row of the table ``schedule`` says, checked when it comes in and read when it fires.

Settings are a JSON object. ``when`` is one of its keys, ``{"cron": ...}`` or ``{"every": ...}``, so
that who sets one takes the place of the other. Options of the job stand beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict, cast

from pgqueue.config import check_int, check_moment, check_seconds, check_task_name, check_text
from pgqueue.errors import ConfigError, nearest, shown
from pgqueue.job import Options, check_options
from pgqueue.schedule.grammar import check_cron
from pgqueue.schedule.misfire import Misfire, Policy
from pgqueue.schedule.when import EPOCH, Cron, Every, When
from pgqueue.schedule.zone import check_zone
from pgqueue.unique.options import check_together

__all__ = ["Overlap", "ScheduleOptions", "Spec", "Timing", "check_name", "check_settings", "read"]

Overlap = Literal["allow", "skip"]
"""``skip``: no job while the one before is alive."""

_OPTIONS = ("queue", "priority", "max_attempts", "timeout", "unique_key", "tags", "metadata",
            "expires", "flow", "flow_key", "weight", "unique")  # fmt: skip
_WHEN = ("cron", "every", "anchor")
_LONGEST_JITTER = 86_400.0


class Timing(TypedDict, total=False):
    """When a schedule fires. Give ``cron`` or ``every``.

    ``every``: seconds or a timedelta, at least a second, counted from ``anchor``. ``zone``: of
    ``cron``. ``misfire``, ``misfire_most``, ``grace``: what becomes of slots that are late.
    ``jitter``: jobs are due up to so many seconds after their slot. ``overlap``: "skip" makes no
    job while the one before is alive.
    """

    cron: str | None
    every: float | timedelta | None
    anchor: datetime | None
    zone: str
    misfire: Misfire
    misfire_most: int
    grace: float | timedelta
    jitter: float | timedelta
    overlap: Overlap


class ScheduleOptions(Timing, Options, total=False):
    """What ``schedule`` and ``schedules.set`` take; ``delay`` and ``run_at`` are refused."""


def check_name(value: object) -> str:
    """Return the name of a schedule: 1 to 200 bytes, no control characters."""
    name = check_text(value, "schedule name", longest=200)
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise ConfigError(f"schedule name {name!r} has a control character in it")
    return name


def check_settings(given: Mapping[str, object]) -> dict[str, Any]:
    """Return settings as they are stored, of those that were given; refuse what is wrong."""
    out: dict[str, Any] = {}
    for name, value in given.items():
        if name in _CHECKS:
            out[name] = _CHECKS[name](value)
        elif name in ("delay", "run_at"):
            raise ConfigError(f"a schedule takes no {name}: its slots say when; see jitter")
        elif name in _OPTIONS:
            out |= check_options({name: value})
        elif name not in _WHEN:
            known = (*_WHEN, *_CHECKS, *_OPTIONS)
            raise ConfigError(f'a schedule takes no "{name}"{nearest(name, known)}')
    if (when := _when(*(given.get(name) for name in _WHEN))) is not None:
        out["when"] = when
    return out


def _when(cron: object, every: object, anchor: object) -> dict[str, Any] | None:
    if cron is not None and every is not None:
        raise ConfigError("give cron or every, not both")
    if cron is not None:
        if anchor is not None:
            raise ConfigError("anchor belongs to every; a cron expression has none")
        return {"cron": check_cron(cron)}
    if every is not None:
        when: dict[str, Any] = {"every": check_seconds(every, "every", least=1.0)}
        if anchor is not None:
            when["anchor"] = check_moment(anchor, "anchor").astimezone(UTC).isoformat()
        return when
    if anchor is not None:
        raise ConfigError("give every with anchor: it counts from there")
    return None


def _one_of(value: object, what: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ConfigError(f"{what} must be {' or '.join(map(repr, known))}, got {shown(value)}")
    return cast("str", value)


_CHECKS: Mapping[str, Callable[[object], object]] = {
    "task": check_task_name,
    "zone": check_zone,
    "misfire": lambda value: _one_of(value, "misfire", ("last", "skip", "all")),
    "misfire_most": lambda value: check_int(value, "misfire_most", 1, 10_000),
    "grace": lambda value: check_seconds(value, "grace"),
    "jitter": lambda value: check_seconds(value, "jitter", most=_LONGEST_JITTER),
    "overlap": lambda value: _one_of(value, "overlap", ("allow", "skip")),
}


@dataclass(frozen=True, slots=True)
class Spec:
    """The settings of one schedule, read. ``args``: None where code gives them for each slot."""

    name: str
    task: str
    when: When
    policy: Policy
    args: Mapping[str, Any] | None
    jitter: timedelta
    overlap: Overlap
    zone: str
    options: Mapping[str, Any]

    def due_at(self, slot: datetime) -> datetime:
        """Return when the job of a slot is due: the slot, and what jitter adds, always the same."""
        span = self.jitter // timedelta(milliseconds=1)
        if not span:
            return slot
        text = f"{self.name}\0{slot.astimezone(UTC).isoformat()}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return slot + timedelta(milliseconds=int.from_bytes(digest, "big") % span)

    def options_for(self, slot: datetime | None) -> dict[str, Any]:
        """Return the options of the job of a slot; None for a job that somebody asks for now."""
        at = None if slot is None else slot.astimezone(UTC).isoformat()
        options = dict(self.options)
        options["metadata"] = {**(options.get("metadata") or {}), "schedule": self.name, "slot": at}
        if self.overlap == "skip":
            options["unique_key"] = f"cron:{self.name}"
            options["unique"] = None  # of the task
        if slot is not None and (due := self.due_at(slot)) != slot:
            options["run_at"] = due
        return options


def read(name: str, settings: Mapping[str, Any]) -> Spec:
    """Return stored settings as a Spec. Raises ConfigError where they make no schedule."""
    given = dict(settings)
    when, args = given.pop("when", None), given.pop("args", {})
    if "task" not in given:
        raise ConfigError(f'schedule "{name}" needs a task')
    if not isinstance(when, Mapping):
        raise ConfigError(f'schedule "{name}" needs cron or every')
    times = cast("Mapping[str, Any]", when)
    checked = check_settings(_moments(given) | _moments(times))
    zone = checked.get("zone", "UTC")
    options = {key: checked[key] for key in _OPTIONS if checked.get(key) is not None}
    spec = Spec(
        name, checked["task"], _read_when(checked["when"], zone),
        Policy(
            checked.get("misfire", "last"), checked.get("misfire_most", 100),
            timedelta(seconds=checked.get("grace", 60.0)),
        ),
        args, timedelta(seconds=checked.get("jitter", 0.0)), checked.get("overlap", "allow"), zone,
        options,
    )  # fmt: skip
    _check_together(spec)
    return spec


def _moments(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored as it was given: moments are text in JSON."""
    given = dict(stored)
    for key in ("anchor", "expires"):
        if isinstance(given.get(key), str):
            given[key] = datetime.fromisoformat(given[key])
    return given


def _read_when(when: Mapping[str, Any], zone: str) -> When:
    if "cron" in when:
        return Cron(when["cron"], zone)
    anchor = when.get("anchor")
    return Every(
        timedelta(seconds=when["every"]), datetime.fromisoformat(anchor) if anchor else EPOCH
    )


def _check_together(spec: Spec) -> None:
    if spec.overlap == "skip" and not spec.options.keys().isdisjoint(("unique_key", "unique")):
        raise ConfigError(
            f'schedule "{spec.name}": overlap="skip" has a unique key of its own; give one of both'
        )
    check_together(spec.options)
    if "wait" in spec.options.get("unique", ()) and spec.jitter:
        raise ConfigError(
            f'schedule "{spec.name}": a debounced job is due after its wait; leave out jitter'
        )
    expires = spec.options.get("expires")
    if isinstance(expires, str):
        raise ConfigError(
            f'schedule "{spec.name}": expires must be seconds: a moment would end all later jobs'
        )
    if expires is not None and expires <= spec.jitter.total_seconds():
        raise ConfigError(
            f'schedule "{spec.name}": expires ({expires:g} s) must be more than jitter '
            f"({spec.jitter.total_seconds():g} s)"
        )
