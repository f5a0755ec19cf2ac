"""Defects put into the product on purpose, to see that the checker finds them."""

from __future__ import annotations

__all__ = ["apply"]


def apply(name: str | None) -> None:
    """Put the defect of that name into this process; with None, none."""
    if name:
        from chaos.mutants import catalogue

        catalogue.MUTANTS[name].apply()
