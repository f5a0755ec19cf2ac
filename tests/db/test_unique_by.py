"""Keys of arguments: the client and the schema make the same, on every way in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.db.hands import Hands

from pgqueue import App, Client, Debounce, Enqueued, Replace, Throttle, Unique
from pgqueue.unique.key import derived_key

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abä", max_size=3), inner),
    max_leaves=8,
)


def storable(value: object) -> bool:
    return "\\u0000" not in json.dumps(value)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.text("ab", min_size=1, max_size=2), VALUES, max_size=3).filter(storable))
async def test_the_schema_makes_the_same_key(hands: Hands, args: dict[str, Any]) -> None:
    text = json.dumps(args, ensure_ascii=False)
    for paths in (None, sorted(args)[:1], []):
        found = await hands.value(
            "select @.unique_key_of('t', $1::text::jsonb, $2::text::jsonb)", text, json.dumps(paths)
        )
        assert found == derived_key("t", text, paths)


@pytest.mark.past_bug(69)
async def test_every_way_in_meets_the_same_job(hands: Hands, dsn: str) -> None:
    app = App(dsn)

    @app.task(unique=Unique(by=["doc.id"]))
    def index(doc: dict[str, Any], note: str = "") -> None: ...

    doc = {"id": 7, "text": "a"}
    async with app:
        first = await index.aenqueue(doc)
        again = [
            await index.aenqueue({"id": 7}, note="x"),
            await app.aenqueue("index", {"doc": doc}),
            *await app.aenqueue_many([index.job({"id": 7}), app.job("index", {"doc": doc})]),
            await index.using(unique=Replace("tags", by=["doc.id"]), tags=["t"]).aenqueue(doc),
        ]
        other = await index.aenqueue({"id": 8})
    async with Client(dsn) as client:
        again.append(
            await client.aenqueue("index", {"doc": {"id": 7}}, unique=Unique(by=["doc.id"]))
        )
    again.append(await asyncio.to_thread(blocking, dsn))
    (row,) = await hands.public(
        {"task": "index", "args": {"doc": {"id": 7}}, "unique": {"by": ["doc.id"]}}
    )
    assert not first.duplicate
    assert not other.duplicate
    assert {one.id for one in again} == {first.id} == {row["id"]}
    assert all(one.duplicate for one in again)
    assert [one.replaced for one in again] == [False] * 4 + [True] + [False] * 2
    assert row["duplicate"]
    assert await hands.count("job") == 2


def blocking(dsn: str) -> Enqueued:
    with Client(dsn) as client:
        return client.enqueue("index", {"doc": {"id": 7}}, unique=Unique(by=["doc.id"]))


async def test_modes_through_the_client(hands: Hands, dsn: str) -> None:
    async with Client(dsn) as client:
        made = await client.aenqueue_many(
            [
                client.job("t", {"n": n}, unique=mode)
                for n, mode in enumerate(
                    [Debounce(60, by=[]), Debounce(60, by=[]), Throttle(60, by=["n"]), Unique()]
                )
            ]
        )
        plain = await client.aenqueue("t", unique_key="k")
    assert [one.duplicate for one in made] == [False, True, False, False]
    assert [one.replaced for one in made] == [False, True, False, False]
    assert [str(one.state) for one in made] == ["scheduled", "scheduled", "pending", "pending"]
    assert (plain.duplicate, plain.replaced) == (False, False)
    job = await hands.live(made[0].id)
    assert job is not None
    assert json.loads(job["args"]) == {"n": 1}


@pytest.mark.parametrize(
    ("unique", "said"),
    [
        ([], "unique that is not an object"),
        ({"bye": []}, 'unknown key "bye" in unique; known are by, until'),
        ({"by": "a"}, "unique.by that is not an array of strings"),
        ({"by": [1]}, "unique.by that is not an array of strings"),
        ({"by": ["b"]}, 'no argument "b", which is in unique.by'),
        ({"until": "done"}, "unique.until that is neither"),
        ({"until": "started", "wait": 1}, "unique.until beside wait"),
        ({"wait": "1"}, "not a number of seconds"),
        ({"period": 0}, "not between 0.001 seconds"),
        ({"wait": 1, "period": 1}, "more than one of"),
        ({"wait": 5, "max_wait": 1}, "unique.max_wait without wait, or below it"),
        ({"max_wait": 1}, "unique.max_wait without wait, or below it"),
        ({"replace": []}, "unique.replace that is not an array of args"),
        ({"replace": ["id"]}, "unique.replace that is not an array of args"),
    ],
)
async def test_what_is_wrong_in_sql_is_refused(hands: Hands, unique: Any, said: str) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match=said):
        await hands.public({"task": "t", "args": {"a": 1}, "unique": unique})


async def test_sql_refuses_what_does_not_go_together(hands: Hands) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"unique": {"by": []}, "unique_key": "k"}, "both unique_key and unique.by"),
        ({"unique": {"wait": 1}, "delay": 1}, "unique.wait beside delay"),
    ]
    for doc, said in wrong:
        with pytest.raises(asyncpg.InvalidParameterValueError, match=said):
            await hands.public({"task": "t", **doc})


async def test_null_is_none_and_a_given_key_counts(hands: Hands) -> None:
    rows = await hands.public(
        [
            {"task": "t", "unique": None},
            {"task": "t", "unique": {"until": "started"}, "unique_key": "k"},
            {"task": "t", "unique": {"until": "started"}, "unique_key": "k", "args": {"a": 1}},
        ]
    )
    assert [row["duplicate"] for row in rows] == [False, False, True]
    keys = await hands.sql("select unique_key, unique_started from @.job order by id")
    assert [tuple(row) for row in keys] == [(None, None), ("k", True)]
