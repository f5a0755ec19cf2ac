"""F37: what a thread returned is asked whether it can be awaited."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue import App
from tests.corpus import poison
from tests.worker.support import Eyes, working


@pytest.mark.past_bug(97)
@pytest.mark.fault("F37")
async def test_a_thread_returns_what_refuses_to_be_looked_at(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1)
    def in_a_thread() -> Any:
        return poison.Nameless

    await in_a_thread.aenqueue()
    async with working(app):
        await eyes.settled(completed=1)
