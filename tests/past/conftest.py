"""The fixtures of the worker's tests: an app on a database of its own, and eyes on it."""

from __future__ import annotations

from tests.worker.conftest import app, app_dsn, eyes, pytest_generate_tests

__all__ = ["app", "app_dsn", "eyes", "pytest_generate_tests"]
