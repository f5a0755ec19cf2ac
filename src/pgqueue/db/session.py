"""What a session of ours is set to, whatever role and database default to."""

from __future__ import annotations

__all__ = [
    "KEEPALIVES",
    "KEEPALIVE_OPTIONS",
    "LIVENESS",
    "LOCK_SECONDS",
    "TCP_OPTIONS",
    "UPKEEP_SECONDS",
    "session_settings",
]

_BASE = {
    "search_path": "",
    "timezone": "UTC",
    "datestyle": "ISO",
    "default_transaction_isolation": "read committed",
    "jit": "off",
    "lock_timeout": "0",
}
# A generic plan made while a table was empty must still be right when it is full: so no statement
# of ours may depend on statistics, and each has one plan that these leave.
_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_sort": "off",
}
LOCK_SECONDS = 1.0
"""How long the write of outcomes waits for a row that somebody has locked."""

UPKEEP_SECONDS = 600.0
"""For so long a vacuum may last; what it has cleaned by then stays so."""
# A vacuum pauses after each hundred pages that it changed: jobs get their share of a small machine.
_UPKEEP = {
    "statement_timeout": str(int(UPKEEP_SECONDS * 1000)),
    "lock_timeout": "2000",
    "vacuum_cost_delay": "1ms",
    "vacuum_cost_limit": "2000",
}

# With these the server lets go of a host that vanished, and of what its transactions hold.
KEEPALIVES = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
# The same on our side of the connection. Only with these does who waits for an answer, and sends
# nothing, hear that the session has ended where the word of that was lost.
KEEPALIVE_OPTIONS = {
    "TCP_KEEPIDLE": int(KEEPALIVES["tcp_keepalives_idle"]),
    "TCP_KEEPINTVL": int(KEEPALIVES["tcp_keepalives_interval"]),
    "TCP_KEEPCNT": int(KEEPALIVES["tcp_keepalives_count"]),
}
# For the worker's own connections alone. Linux also ends a connection whose peer reads nothing for
# so long: a server does that to a handler that sends much behind a statement that waits.
TCP_OPTIONS = {**KEEPALIVE_OPTIONS, "TCP_USER_TIMEOUT": int(KEEPALIVES["tcp_user_timeout"])}
LIVENESS = {**KEEPALIVES, "idle_in_transaction_session_timeout": "60000"}


def session_settings(role: str, deadline: float) -> dict[str, str]:
    """Return the settings of a session: ours, whatever role or database default to."""
    settings = {**_BASE, **_PLANS, "statement_timeout": str(int(deadline * 1000))}
    if role == "claim":
        settings["synchronous_commit"] = "off"
    if role == "finish":
        # One row that somebody has locked must not hold up all other outcomes for long.
        settings["lock_timeout"] = str(int(min(LOCK_SECONDS, deadline / 2) * 1000))
    if role == "upkeep":
        settings |= _UPKEEP
    return settings
