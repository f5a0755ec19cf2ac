"""How much of a job comes with its claim."""

from __future__ import annotations

import pytest

from pgqueue.worker.large import inline_bytes


@pytest.mark.parametrize("room", [1, 10, 100, 1000, 10_000])
def test_an_answer_is_bounded_however_many_jobs_are_claimed(room: int) -> None:
    # Compressed to a fourth.
    assert room * inline_bytes(room) * 4 <= 32 * 2**20


def test_small_arguments_always_come_along() -> None:
    assert inline_bytes(1_000_000) >= 256
    assert inline_bytes(0) > 0
