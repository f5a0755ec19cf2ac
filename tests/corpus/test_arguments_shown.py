"""F36: options whose refusal says too little, or fails itself."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pgqueue import App, ConfigError, PayloadError
from tests.corpus.arguments import OPTIONS, Hostile

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.mark.fault("F36")
@pytest.mark.parametrize("value", [Hostile(), [Hostile()]], ids=["itself", "in a list"])
@pytest.mark.parametrize("name", [*OPTIONS, "task"])
def test_an_option_that_cannot_be_shown_is_refused_all_the_same(name: str, value: Any) -> None:
    """An error of its repr passes through the message that would name the option."""
    app = App(NOWHERE)
    task, options = (value, {}) if name == "task" else ("t", {name: value})
    with pytest.raises(ConfigError, match=name.removesuffix("s")):
        app.job(task, {}, **options)


@pytest.mark.fault("F36")
def test_what_is_wrong_in_metadata_says_that_it_is_metadata() -> None:
    app = App(NOWHERE)
    with pytest.raises(PayloadError, match="metadata"):
        app.job("t", {"a": 1}, metadata={"a": math.nan})
