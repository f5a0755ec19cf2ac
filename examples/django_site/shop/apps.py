"""The application: ``manage.py migrate`` installs pgqueue's schema too, also for tests."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class ShopConfig(AppConfig):
    """The shop."""

    name = "shop"

    def ready(self) -> None:
        """Have pgqueue's tables made and upgraded after those of the models."""
        post_migrate.connect(install_queue, sender=self)


def install_queue(using: str, **_: Any) -> None:
    """Install or upgrade pgqueue, on the connection that migrates."""
    from shop.jobs import app

    app.migrate(connection=connections[using])
