"""A model of a Django project that has no app of its own."""

from __future__ import annotations

import django
from django.conf import settings

if not settings.configured:
    settings.configure(DATABASES={}, USE_TZ=True)  # as in tests/drivers
    django.setup()

from django.db import models

__all__ = ["Order"]


class Order(models.Model):
    paid = models.BooleanField(default=False)

    class Meta:
        app_label = "shop"
