"""The modes of unique jobs, as code gives them and as they stand in the document of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any, Literal, cast

from pgqueue.config import check_seconds, check_text
from pgqueue.errors import ConfigError, nearest, shown

__all__ = ["Debounce", "Mode", "Replace", "Replaceable", "Throttle", "Unique", "check_unique"]

Until = Literal["started", "finished"]
Replaceable = Literal["args", "run_at", "priority", "tags"]
"""What a later call may change of a job that waits."""

_REPLACEABLE = ("args", "run_at", "priority", "tags")
_KEYS = ("by", "until", "for", "replace", "wait", "max_wait", "period")
_LEAST = 0.001


@dataclass(frozen=True, slots=True)
class Unique:
    """One job at a time for the same arguments; a second enqueue returns the first job.

    ``by``: the arguments that count, by name, or by a path as in "doc.id"; None: all that a call
    gives. ``until``: "finished", the job holds its key until it is over, retries included;
    "started", until a worker takes it. ``for_``: seconds or a timedelta from the enqueue in which
    the key stays taken in any case, also after the job is over. With ``unique_key=`` that is the
    key, and ``by`` is left out. Raises ConfigError for a wrong value.
    """

    by: Iterable[str] | None = None
    _: KW_ONLY
    until: Until = "finished"
    for_: float | timedelta | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "by", _paths(self.by))
        _check_until(self.until)
        if self.for_ is not None:
            put(self, "for_", check_seconds(self.for_, "for_", least=_LEAST))


@dataclass(frozen=True, slots=True, init=False)
class Replace:
    """A second enqueue changes the job that waits: ``Replace("args", "run_at")``.

    ``what`` it changes: "args", with them the flow's key and the weight; "run_at", when it is due;
    "priority"; "tags". A job that runs is not changed. ``by``, ``until``: as in Unique. Raises
    ConfigError for a wrong value.
    """

    what: tuple[Replaceable, ...]
    by: tuple[str, ...] | None
    until: Until

    def __init__(
        self, *what: Replaceable, by: Iterable[str] | None = None, until: Until = "finished"
    ) -> None:
        put = object.__setattr__
        if not what:
            raise ConfigError(f"Replace needs one or more of {', '.join(_REPLACEABLE)}")
        for one in what:
            if one not in _REPLACEABLE:
                raise ConfigError(
                    f"Replace changes {', '.join(_REPLACEABLE)}, got {shown(one)}"
                    f"{nearest(str(one), _REPLACEABLE)}"
                )
        put(self, "what", tuple(dict.fromkeys(what)))
        put(self, "by", _paths(by))
        put(self, "until", _check_until(until))


@dataclass(frozen=True, slots=True)
class Debounce:
    """A job runs once no call came for ``wait`` seconds, with the arguments of the last call.

    ``max_wait``: it runs so many seconds after the first call at the latest; None: it may wait for
    ever. ``by``: as in Unique. A call while the job runs makes the next job. Raises ConfigError
    for a wrong value.
    """

    wait: float | timedelta
    _: KW_ONLY
    max_wait: float | timedelta | None = None
    by: Iterable[str] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        wait = check_seconds(self.wait, "wait", least=_LEAST)
        put(self, "wait", wait)
        put(self, "by", _paths(self.by))
        if self.max_wait is not None:
            longest = check_seconds(self.max_wait, "max_wait", least=_LEAST)
            if longest < wait:
                raise ConfigError(
                    f"max_wait ({longest:g} s) must not be less than wait ({wait:g} s)"
                )
            put(self, "max_wait", longest)


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most one job starts in ``period`` seconds: the first call at once, the last at its end.

    Calls in between change the arguments, priority and tags of the job that waits. ``by``: as in
    Unique. Retries do not count as starts. Raises ConfigError for a wrong value.
    """

    period: float | timedelta
    _: KW_ONLY
    by: Iterable[str] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "period", check_seconds(self.period, "period", least=_LEAST))
        put(self, "by", _paths(self.by))


Mode = Unique | Replace | Debounce | Throttle


def check_unique(value: object) -> dict[str, Any] | None:
    """Return a mode as it stands in the document of a job; it may be given so as well."""
    if value is None:
        return None
    if isinstance(value, Unique | Replace | Debounce | Throttle):
        return _document(value)
    if isinstance(value, Mapping):
        return _document(_read(cast("Mapping[str, Any]", value)))
    hint = f"; write unique_key={shown(value)}" if isinstance(value, str) else ""
    raise ConfigError(
        f"unique must be a Unique, Replace, Debounce or Throttle, got {shown(value)}{hint}"
    )


def _read(document: Mapping[str, Any]) -> Mode:
    left = dict(document)
    mode: Mode
    by = left.pop("by", None)
    if "wait" in left:
        mode = Debounce(left.pop("wait"), max_wait=left.pop("max_wait", None), by=by)
    elif "period" in left:
        mode = Throttle(left.pop("period"), by=by)
    elif "replace" in left:
        what = left.pop("replace")
        if not isinstance(what, list | tuple):
            said = shown(cast("object", what))
            raise ConfigError(f"unique.replace must be a list, got {said}")
        names = cast("Iterable[Replaceable]", what)
        mode = Replace(*names, by=by, until=left.pop("until", "finished"))
    else:
        mode = Unique(by, until=left.pop("until", "finished"), for_=left.pop("for", None))
    for key in left:
        if key in _KEYS:
            raise ConfigError(f'unique has "{key}", which {type(mode).__name__} does not know')
        raise ConfigError(f'unique has an unknown key "{key}"{nearest(key, _KEYS)}')
    return mode


def _document(mode: Mode) -> dict[str, Any]:
    match mode:
        case Unique(by, until=until, for_=span):
            given = {"by": by, "until": until, "for": span}
        case Replace(what=what, by=by, until=until):
            given = {"by": by, "until": until, "replace": what}
        case Debounce(wait, max_wait=longest, by=by):
            given = {"by": by, "wait": wait, "max_wait": longest}
        case Throttle(period, by=by):
            given = {"by": by, "period": period}
    if given.get("until") == "finished":
        del given["until"]
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value is not None
    }


def _check_until(value: object) -> object:
    if value not in ("started", "finished"):
        raise ConfigError(f'until must be "started" or "finished", got {shown(value)}')
    return value


def _paths(given: object) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Iterable):
        hint = f"; write [{shown(given)}]" if isinstance(given, str) else ""
        raise ConfigError(f"by must be a list of arguments, got {shown(given)}{hint}")
    paths = tuple(
        check_text(path, "a path of by", longest=500) for path in cast("Iterable[object]", given)
    )
    for path in paths:
        if "" in path.split("."):
            raise ConfigError(f'by has the path "{path}", in which a name is missing')
    return tuple(dict.fromkeys(paths))
