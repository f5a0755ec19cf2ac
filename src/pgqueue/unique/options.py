"""How the option ``unique`` stands with the others of a job, and the key that it gives the job.

Where the arguments give the key, ``by`` stands in the document beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgqueue.errors import ConfigError
from pgqueue.unique.key import derived_key

__all__ = ["check_together", "settle", "with_key"]

_NONE: Mapping[str, Any] = {}


def settle(former: Mapping[str, Any], changed: Mapping[str, Any], merged: dict[str, Any]) -> None:
    """Bring ``unique`` of merged options in order; refuse what does not go together."""
    if "by" in (former.get("unique") or ()) and "unique_key" not in changed:
        merged.pop("unique_key", None)  # of other arguments or paths, perhaps
    rule = merged["unique"]
    if rule is None:
        del merged["unique"]
        return
    check_together(merged)
    if merged.get("unique_key") is not None:
        merged["unique"] = {name: value for name, value in rule.items() if name != "by"}


def check_together(options: Mapping[str, Any]) -> None:
    """Refuse a key beside ``by``, and a time beside a debounce."""
    rule: Mapping[str, Any] = options.get("unique") or _NONE
    if options.get("unique_key") is not None and rule.get("by") is not None:
        raise ConfigError(
            "give unique_key or by, not both: with unique_key, write unique=Unique(until=...) "
            "without by"
        )
    if "wait" in rule:
        for name in ("delay", "run_at"):
            if options.get(name) is not None:
                raise ConfigError(f"a debounced job is due after its wait; leave out {name}")


def with_key(task: str, args: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options of a job that has ``unique`` with its unique key.

    Raises ConfigError if an argument that makes the key is not given.
    """
    rule = options["unique"]
    if "by" not in rule and options.get("unique_key") is not None:
        return options
    by = rule.get("by")
    return {
        **options, "unique": {**rule, "by": by}, "unique_key": derived_key(task, args, by),
    }  # fmt: skip
