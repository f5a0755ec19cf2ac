"""What code says of unique jobs, as it stands in their documents; the key of their arguments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import pgqueue
from pgqueue import Client, ConfigError, Debounce, NewJob, Replace, Throttle, Unique
from pgqueue.job import check_options
from pgqueue.unique.key import canonical, derived_key

CLIENT = Client("postgresql://nowhere/none")


def job(args: dict[str, Any] | None = None, **options: Any) -> NewJob:
    return CLIENT.job("t", args or {}, **options)


@pytest.mark.parametrize(
    ("mode", "document"),
    [
        (Unique(), {}),
        (Unique(["a", "b.c"], until="started"), {"by": ["a", "b.c"], "until": "started"}),
        (Unique(by=[], for_=timedelta(minutes=1)), {"by": [], "for": 60.0}),
        (Replace("args", "run_at", "args"), {"replace": ["args", "run_at"]}),
        (Replace("tags", by=("a",), until="started"),
         {"replace": ["tags"], "by": ["a"], "until": "started"}),
        (Debounce(2, max_wait=10, by=["doc"]), {"wait": 2.0, "max_wait": 10.0, "by": ["doc"]}),
        (Throttle(60), {"period": 60.0}),
    ],
)  # fmt: skip
def test_a_mode_stands_in_the_document_and_is_read_from_it(
    mode: Any, document: dict[str, Any]
) -> None:
    assert check_options({"unique": mode}) == {"unique": document}
    assert check_options({"unique": document}) == {"unique": document}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Unique("user_id"), r"by must be a list of arguments, got 'user_id'; write \['us"),
        (lambda: Unique([7]), 'a path of by must be a non-empty string, got 7; write "7"'),  # type: ignore[list-item]  # pyright: ignore
        (lambda: Unique(["a..b"]), 'by has the path "a..b", in which a name is missing'),
        (lambda: Unique(until="done"), 'until must be "started" or "finished", got \'done\''),  # type: ignore[arg-type]  # pyright: ignore
        (lambda: Unique(for_=0), "for_ must be from 0.001 seconds"),
        (lambda: Unique(for_="1 min"), "for_ must be seconds .* write 60"),  # type: ignore[arg-type]  # pyright: ignore
        (lambda: Replace(), "Replace needs one or more of args, run_at, priority, tags"),
        (lambda: Replace("arg"), "got 'arg'; did you mean \"args\""),  # type: ignore[arg-type]  # pyright: ignore
        (lambda: Debounce("2s"), "wait must be seconds .* write 2"),  # type: ignore[arg-type]  # pyright: ignore
        (lambda: Debounce(5, max_wait=2), r"max_wait \(2 s\) must not be less than wait \(5 s\)"),
        (lambda: Throttle(0), "period must be from 0.001 seconds"),
        (lambda: check_options({"unique": "k"}), "got 'k'; write unique_key='k'"),
        (lambda: check_options({"unique": {"wait": 1, "until": "started"}}),
         'unique has "until", which Debounce does not know'),
        (lambda: check_options({"unique": {"untill": "started"}}),
         'unknown key "untill"; did you mean "until"'),
        (lambda: check_options({"unique": {"replace": "args"}}), "replace must be a list"),
        (lambda: job({"a": 1}, unique_key="k", unique=Unique(["a"])), "unique_key or by, not both"),
        (lambda: job(delay=1, unique=Debounce(2)), "leave out delay"),
        (lambda: job(run_at=datetime.now(UTC), unique=Debounce(2)), "leave out run_at"),
        (lambda: job({"a": 1}, unique=Unique(["b"])),
         'by names "b", which this call of the task "t" does not give; its arguments are a'),
        (lambda: job({"a": [1]}, unique=Unique(["a.1"])), 'by names "a.1"'),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


def test_a_task_is_asked_for_its_parameters_when_it_is_declared() -> None:
    app = pgqueue.App("postgresql://nowhere/none")

    def sync(user_id: int, **more: Any) -> None: ...

    with pytest.raises(
        ConfigError, match=r'"user", which is no parameter.*; did you mean "user_id"'
    ):
        app.task(unique=Unique(by=["user"]))(sync)
    task = app.task(unique=Unique(by=["user_id", "more.b"]))(sync)
    assert task.job(7, b=1).options["unique_key"].startswith("sync:")
    with pytest.raises(ConfigError, match=r'"more.b"'):
        task.job(7)


@pytest.mark.past_bug(67)
def test_the_order_of_keys_does_not_matter_and_nothing_is_not_null() -> None:
    key = derived_key("t", '{"a": {"b": 1, "c": [2, {}]}}', None)
    assert derived_key("t", '{"a":{"c":[2,{}],"b":1}}', None) == key
    others = ['{"a": {}}', '{"a": null}', "{}", '{"a": []}', '{"a": ""}', '{"a": 0}', '{"a": "0"}']
    keys = {derived_key("t", args, None) for args in others}
    assert len(keys) == len(others)
    assert derived_key("u", "{}", None) not in keys


def test_a_key_has_what_counts_alone() -> None:
    one, other = '{"doc": {"id": 1, "text": "a"}}', '{"doc": {"id": 1, "text": "b"}}'
    assert derived_key("t", one, ["doc.id"]) == derived_key("t", other, ["doc.id"])
    assert derived_key("t", one, ["doc"]) != derived_key("t", other, ["doc"])
    assert derived_key("t", one, []) == derived_key("t", "{}", [])
    assert len(derived_key("t" * 200, one, None)) <= 500


def test_canonical_json() -> None:
    value: dict[str, Any] = {"bb": None, "c": True, "a": ["ä\n", {}]}
    assert canonical(value) == '{"a": ["ä\\n", {}], "c": true, "bb": null}'


def test_a_later_option_takes_the_place_of_the_former() -> None:
    first = job({"a": 1, "b": 2}, unique=Unique(["a"]))
    assert first.options["unique"] == {"by": ["a"]}
    second = first.using(unique=Unique(["b"]))
    assert second.options["unique_key"] != first.options["unique_key"]
    assert second.options["unique_key"] == job({"b": 2}, unique=Unique(["b"])).options["unique_key"]
    everything = job({"a": 1}, unique=Unique())
    named = everything.using(unique_key="k")
    assert (named.options["unique_key"], named.options["unique"]) == ("k", {})
    assert named.using(unique=Debounce(2)).options["unique_key"] == "k"
    plain = first.using(unique=None)
    assert "unique" not in plain.options
    assert "unique_key" not in plain.options
    with pytest.raises(ConfigError, match="not both"):
        first.using(unique_key="k")
