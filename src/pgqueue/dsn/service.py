"""The service file: parameters of a dsn under a name, as libpq reads it."""

from __future__ import annotations

from collections.abc import Iterable

from pgqueue.errors import ConfigError

__all__ = ["read_services"]


def read_services(lines: Iterable[str], path: str) -> dict[str, dict[str, str]]:
    """Return the services of a file; the first one of a name counts, and in it the first line."""
    services: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("["):
            current = {}
            services.setdefault(text[1:].partition("]")[0], current)
            continue
        name, separator, value = text.partition("=")
        if not separator or not services:
            # The line is not shown: it may be a password.
            raise ConfigError(f"line {number} of {path} is neither [service] nor name=value")
        if name.strip() == "service":
            raise ConfigError(f"line {number} of {path}: a service cannot name another one")
        current.setdefault(name.strip(), value.strip())
    return services
