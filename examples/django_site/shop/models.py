"""Orders."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    """``job``: the one that charges for it."""

    email = models.EmailField()
    cents = models.PositiveIntegerField()
    placed_at = models.DateTimeField(auto_now_add=True)
    job = models.BigIntegerField(null=True)
    paid_at = models.DateTimeField(null=True)
    reminded_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"order {self.pk} of {self.email}"
