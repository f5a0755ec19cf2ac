"""The arguments that make a unique key, compared with the parameters of the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pgqueue.errors import ConfigError, nearest
from pgqueue.payload.signature import Signature

__all__ = ["check_paths"]


def check_paths(options: Mapping[str, Any], function: Callable[..., object], task: str) -> None:
    """Refuse a path of ``unique`` that begins with no parameter of the function."""
    rule: Mapping[str, Any] | None = options.get("unique")
    paths: Sequence[str] | None = rule.get("by") if rule is not None else None
    if paths is None:
        return
    signature = Signature.of(function)
    known = [*signature.positional, *signature.keyword]
    known += [name for name in (signature.rest, signature.extra) if name is not None]
    for path in paths:
        name = path.split(".")[0]
        if name not in known:
            are = f"; they are {', '.join(known)}" if known else "; it has none"
            raise ConfigError(
                f'unique: by names "{name}", which is no parameter of the task "{task}"'
                f"{nearest(name, known) or are}"
            )
