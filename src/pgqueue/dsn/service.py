"""The service file: parameters of a dsn under a name, as libpq reads it."""

from __future__ import annotations

from collections.abc import Iterable

from pgqueue.errors import ConfigError

__all__ = ["read_services"]


def read_services(lines: Iterable[str], path: str, wanted: str) -> dict[str, dict[str, str]]:
    """Return the services of a file; the first one of a name counts, and in it the first line.

    Only the wanted one must be right: a line elsewhere that cannot be read is passed over.
    """
    services: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    inside = False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("["):
            service = text[1:].partition("]")[0]
            inside = service == wanted and service not in services
            current = {}
            services.setdefault(service, current)
            continue
        name, separator, value = text.partition("=")
        if inside and not separator:
            # The line is not shown: it may be a password.
            raise ConfigError(f"line {number} of {path} is neither [service] nor name=value")
        if inside and name.strip() == "service":
            raise ConfigError(f"line {number} of {path}: a service cannot name another one")
        if separator:
            current.setdefault(name.strip(), value.strip())
    return services
