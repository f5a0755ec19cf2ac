"""A rate as people write it."""

from __future__ import annotations

import pytest

from pgqueue.errors import ConfigError
from pgqueue.flow.rate import rate_per_second, rate_text


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", 100.0),
        ("2.5/sec", 2.5),
        ("60/min", 1.0),
        ("30/minute", 0.5),
        ("1800/h", 0.5),
        ("3600/hour", 1.0),
        ("5/day", 5 / 86_400),
        ("86400/d", 1.0),
        ("1000000/s", 1_000_000.0),
    ],
)
def test_a_rate_is_a_number_of_jobs_and_a_unit(text: str, rate: float) -> None:
    assert rate_per_second(text) == pytest.approx(rate)


@pytest.mark.parametrize(
    "wrong",
    ["", "100", "100/", "/s", "100/week", "100 / s", "-1/s", "1e3/s", "1/S", 100, None, b"1/s"],
)
def test_what_is_no_rate_is_refused_with_its_forms(wrong: object) -> None:
    with pytest.raises(ConfigError, match='key_rate must be text such as "100/s"'):
        rate_per_second(wrong, "key_rate")


@pytest.mark.parametrize("wrong", ["0/s", "0.0/day", "1000001/s"])
def test_a_rate_of_nothing_or_too_much_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=f'above 0 and at most 1000000/s, got "{wrong}"'):
        rate_per_second(wrong)


@pytest.mark.parametrize("text", ["100/s", "1000/min", "60/min", "7/h", "5/day", "1/s", "0.125/s"])
def test_a_rate_is_shown_as_people_write_it(text: str) -> None:
    shown = rate_text(rate_per_second(text))
    assert rate_per_second(shown) == pytest.approx(rate_per_second(text))
    assert shown == {"60/min": "1/s", "0.125/s": "450/h"}.get(text, text)
