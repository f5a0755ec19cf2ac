"""The round trip of payloads through a real jsonb column's normalisation."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.property.test_payload_roundtrip import (
    CASES,
    json_values,
    returns,
    returns_or_refused,
)

every_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def stored(empty_dsn: str) -> Iterator[Callable[[str], str]]:
    """A text as PostgreSQL gives it back once it is jsonb."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(empty_dsn))
        statement = runner.run(connection.prepare("select $1::text::jsonb::text"))
        yield lambda text: runner.run(statement.fetchval(text))
        runner.run(connection.close())


@pytest.mark.one_pg
def test_typed_values_return(stored: Callable[[str], str]) -> None:
    for annotation, values in CASES:

        @settings(max_examples=10, deadline=None)
        @given(values)
        def check(value: Any) -> None:
            returns(annotation, value, stored)  # noqa: B023  (called before the next turn)

        check()


@pytest.mark.one_pg
@settings(every_fixture, max_examples=500, deadline=None)
@given(json_values)
@example(1e16)
@example(-0.0)
@example(5e-324)
@example(9999999999999998.0)
@example({"a": [10**4299, -(2**64)]})
@example("\\u0000")
def test_untyped_values_return_or_are_refused(stored: Callable[[str], str], value: Any) -> None:
    returns_or_refused(value, stored)


@settings(every_fixture, max_examples=300, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e16)
@example(1.7976931348623157e308)
@example(5e-324)
@example(2.2250738585072014e-308)
def test_every_finite_float_returns(stored: Callable[[str], str], value: float) -> None:
    returns(float, value, stored)


@settings(every_fixture, max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
@example("\\u0000")
@example("\\\\u0000")
@example("\U0001f600\uffff\u2028")
def test_every_text_returns(stored: Callable[[str], str], value: str) -> None:
    returns(str, value, stored)
    returns(dict[str, str], {value: value}, stored)


def test_the_deepest_value_returns(stored: Callable[[str], str]) -> None:
    value: Any = 0
    for _ in range(100):
        value = [value]
    returns(Any, value, stored)
