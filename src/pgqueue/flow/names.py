"""What a job says of its flow: the flow's name, its key, and how much it weighs."""

from __future__ import annotations

from pgqueue.config import check_int, check_text
from pgqueue.errors import ConfigError, shown

__all__ = ["HEAVIEST", "LONGEST_KEY", "check_flow", "check_key", "check_weight"]

LONGEST_KEY = 200
HEAVIEST = 1_000_000


def check_flow(value: object) -> str:
    """Return a flow's name: 1 to 100 bytes, no control characters."""
    given = getattr(value, "name", None)
    if isinstance(given, str):
        raise ConfigError(
            f'flow is named by a string here, got {shown(value)}; write "{given}", or give the '
            "Flow to @app.task(flow=...)"
        )
    return _printable(check_text(value, "flow", longest=100), "flow")


def check_key(value: object, what: str = "flow_key") -> str:
    """Return the key of a job in its flow: 1 to 200 bytes, no control characters."""
    return _printable(check_text(value, what, longest=LONGEST_KEY), what)


def check_weight(value: object) -> int:
    """Return how many tokens of a rate a job takes: 1 to 1,000,000."""
    return check_int(value, "weight", 1, HEAVIEST)


def _printable(text: str, what: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ConfigError(f"{what} {text!r} has a control character in it")
    return text
