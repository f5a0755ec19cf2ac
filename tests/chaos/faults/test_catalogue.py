"""What the catalogue of faults has to have."""

from __future__ import annotations

from chaos.faults import ALL, IMPOSSIBLE


def test_each_row_of_the_catalogue_is_a_fault_or_has_a_reason() -> None:
    labels = {maker().label for maker in ALL.values()}
    rows = {f"F{n}" for n in range(1, 53)}
    assert labels | set(IMPOSSIBLE) == rows
    assert all(IMPOSSIBLE.values())
    assert all(maker().name == name for name, maker in ALL.items())
