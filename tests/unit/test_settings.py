"""A worker's settings."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.config import (
    WorkerOptions,
    WorkerSettings,
    schema_from_environment,
)
from pgqueue.dsn import dsn_from_environment
from pgqueue.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concurency": 5}, 'unknown setting "concurency"; did you mean "concurrency"?'),
        ({"nonsense": 5}, 'unknown setting "nonsense"$'),
        ({"concurrency": 0}, "concurrency must be from 1 to 10000, got 0"),
        ({"concurrency": 2.5}, "concurrency must be a whole number from 1 to 10000, got 2.5"),
        ({"queues": "mail"}, r"""got the string 'mail'; use \["mail"\]"""),
        ({"queues": ["a", ""]}, "queue must be a non-empty string"),
        ({"queues": 5}, "queues must be a list of names, got 5"),
        ({"listen": 1}, "listen must be True or False, got 1"),
        ({"poll_interval": 0}, "poll_interval must be from 0.01 to 3600 seconds, got 0"),
        ({"lease": 0.1}, "lease must be from 0.3 to 3600 seconds, got 0.1"),
        ({"lease": "long"}, "lease must be seconds or a timedelta, got 'long'"),
        ({"heartbeat": math.nan}, "heartbeat must be from 0.05"),
        ({"lease": 15, "heartbeat": 6}, r"a third of lease \(15 s\), got 6; 3.75 would do"),
        ({"heartbeat": 10}, r"a third of lease \(15 s\), got 10; 3.75 would do"),
        ({"grace": -1}, "grace must be from 0 to 86400 seconds, got -1"),
        ({"max_prefetch": -1}, "max_prefetch must be from 0 to 100000, got -1"),
        ({"crash_cap": 0}, "crash_cap must be from 1 to 100, got 0"),
        ({"max_jobs": 0}, "max_jobs must be 1 or more, got 0"),
    ],
)
def test_a_wrong_setting_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        WorkerSettings.of(options)


def test_a_type_checker_knows_every_setting() -> None:
    assert list(WorkerOptions.__annotations__) == [f.name for f in fields(WorkerSettings)]


@pytest.mark.past_bug(11)
@given(st.floats(0.3, 3600))
def test_at_least_three_heartbeats_fit_a_lease(lease: float) -> None:
    settings = WorkerSettings.of({"lease": lease})
    assert settings.heartbeat * 3 <= settings.lease * (1 + 1e-9)


@pytest.mark.past_bug(11)
@given(st.floats(0.3, 3600), st.floats(0.05, 600))
def test_two_settings_that_disagree_are_refused(lease: float, heartbeat: float) -> None:
    try:
        settings = WorkerSettings.of({"lease": lease, "heartbeat": heartbeat})
    except ConfigError:
        assert heartbeat > lease / 3
    else:
        assert settings.heartbeat <= settings.lease / 3


def test_defaults_and_what_follows_from_others() -> None:
    settings = WorkerSettings.of({"queues": ["b", "a", "b"], "concurrency": None})
    assert settings.queues == ("b", "a")
    assert settings.concurrency == 100
    assert WorkerSettings.of({"listen": False}).poll_interval == 1.0
    assert WorkerSettings.of({"listen": False, "poll_interval": 4}).poll_interval == 4.0
    assert WorkerSettings.of({"lease": timedelta(seconds=6)}).heartbeat == 1.5
    assert WorkerSettings.of({"lease": 60, "listen": False}).heartbeat == 1.0


@pytest.mark.past_bug(130)
def test_an_empty_variable_is_one_that_is_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGQUEUE_DSN", "")
    monkeypatch.setenv("PGQUEUE_SCHEMA", "")
    assert dsn_from_environment() is None
    assert schema_from_environment() == "pgqueue"
