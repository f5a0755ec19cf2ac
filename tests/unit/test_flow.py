"""What code says of a flow: limits that are stored, errors that say what to write, and keys."""

from __future__ import annotations

import enum
from typing import Any
from uuid import UUID

import pytest

from pgqueue import App, Client, ConfigError, Flow
from pgqueue.flow.settings import check_settings
from pgqueue.schedule.settings import read


def by_client(client: str) -> str:
    return client


def by_all(*names: str) -> str:
    return names[0]


def by_nothing() -> str:
    return "one"


class Plan(enum.StrEnum):
    FREE = "free"


class Shard(enum.IntEnum):
    FIRST = 1


@pytest.fixture
def app() -> App:
    return App("postgresql://nowhere.invalid/none")


@pytest.mark.parametrize(
    ("flow", "stored"),
    [
        (
            Flow("smtp", concurrency=20, rate="100/s", burst=50),
            {"concurrency": 20, "rate": 100.0, "burst": 50},
        ),
        (
            Flow("crm", key="customer", key_concurrency=2, key_rate="60/min", key_burst=5),
            {"key_concurrency": 2, "key_rate": 1.0, "key_burst": 5},
        ),
        (Flow("docs", key=lambda doc: doc, fair=True), {"fair": True}),
        (
            Flow("ledger", key="account", ordered=True),
            {"ordered": True, "key_concurrency": 1, "on_dead": "halt"},
        ),
        (
            Flow("one", ordered=True, on_dead="skip", max_waiting=10),
            {"ordered": True, "key_concurrency": 1, "on_dead": "skip", "max_waiting": 10},
        ),
    ],
)
def test_what_is_stored_of_a_flow(flow: Flow, stored: dict[str, Any]) -> None:
    assert flow.settings == stored


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, 'flow "crm": it limits nothing; give concurrency=20'),
        ({"concurrency": 0}, 'flow "crm": concurrency must be from 1 to 1000000, got 0'),
        ({"concurrency": "5"}, "concurrency must be a whole number from 1 to 1000000, got '5'"),
        ({"rate": 5}, 'rate must be text such as "100/s"'),
        ({"key": "a", "key_rate": "5/fortnight"}, "key_rate must be text such as"),
        ({"concurrency": 1, "burst": 5}, 'burst needs rate; write rate="100/s"'),
        ({"key": "a", "fair": True, "key_burst": 5}, "key_burst needs key_rate"),
        ({"key_concurrency": 1}, 'key_concurrency needs a key; write key="name_of_a_parameter"'),
        ({"key_rate": "5/s"}, "key_rate needs a key"),
        ({"fair": True}, "fair=True needs a key, whose jobs take turns"),
        ({"key": "a", "fair": 1}, "fair must be True or False, got 1"),
        ({"key": "a b", "fair": True}, "key must be the name of a parameter, .* got 'a b'"),
        ({"key": 5, "fair": True}, "key must be the name of a parameter, .* got 5"),
        ({"ordered": True, "key": "a", "key_concurrency": 2}, "leave key_concurrency out, got 2"),
        ({"concurrency": 1, "on_dead": "halt"}, "on_dead belongs to ordered=True"),
        ({"ordered": True, "on_dead": "stop"}, "on_dead must be 'halt' or 'skip', got 'stop'"),
    ],
)
def test_a_wrong_flow_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Flow("crm", **given)


def test_a_key_in_the_event_loop_is_refused() -> None:
    async def key(a: int) -> str:
        return str(a)

    with pytest.raises(ConfigError, match="key must be a function without async"):
        Flow("crm", key=key, fair=True)


def test_the_name_of_a_flow_and_of_a_setting() -> None:
    with pytest.raises(ConfigError, match="flow has 101 bytes, the limit is 100"):
        Flow("x" * 101, concurrency=1)
    with pytest.raises(ConfigError, match=r'no "concurency"; did you mean "concurrency"'):
        check_settings({"concurency": 1})


def test_a_job_has_the_key_of_its_arguments(app: App) -> None:
    @app.task(flow=Flow("crm", key="customer", key_concurrency=2))
    def sync(page: int, customer: str = "none", *, deep: bool = False) -> None: ...

    def key_of(job: Any) -> tuple[Any, Any]:
        return job.options["flow"], job.options["flow_key"]

    assert key_of(sync.job(1, "acme")) == ("crm", "acme")
    assert key_of(sync.job(1, customer="acme")) == ("crm", "acme")
    assert key_of(sync.job(customer="acme", page=1, deep=True)) == ("crm", "acme")
    assert key_of(sync.job(1)) == ("crm", "none")
    assert key_of(sync.using(flow_key="mine").job(1, "acme")) == ("crm", "mine")
    assert key_of(sync.using(weight=5).job(1, "acme")) == ("crm", "acme")
    assert key_of(app.job("sync", {"page": 1, "customer": "acme"})) == ("crm", "acme")
    assert key_of(app.job("sync", {"page": 1}, flow_key="mine")) == ("crm", "mine")
    assert "flow_key" not in sync.using(flow="other").job(1, "acme").options
    assert "flow_key" not in sync.job(1, "acme").using(flow="other").options
    assert "flow_key" not in app.job("sync", {"page": 1}, flow=None).options


def test_a_function_of_parameters_makes_the_key(app: App) -> None:
    @app.task(flow=Flow("docs", key=lambda doc, region: f"{region}/{doc['of']}", fair=True))
    def index(region: str, doc: dict[str, Any], n: int = 0) -> None: ...

    assert index.job("eu", {"of": "acme"}).options["flow_key"] == "eu/acme"
    by_name = app.job("index", {"region": "eu", "doc": {"of": "acme"}})
    assert by_name.options["flow_key"] == "eu/acme"


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("acme", "acme"),
        (7, "7"),
        (Plan.FREE, "free"),
        (Shard.FIRST, "1"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_a_key_is_text(app: App, given: object, key: str) -> None:
    @app.task(flow=Flow("crm", key=lambda n: given, fair=True))
    def sync(n: int) -> None: ...

    assert sync.job(1).options["flow_key"] == key


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, 'the key of flow "crm" must be text, a whole number or a UUID, got None'),
        (1.5, "must be text, a whole number or a UUID, got 1.5"),
        (True, "must be text, a whole number or a UUID, got True"),
        ("", "must be a non-empty string, got ''"),
        ("x" * 201, "has 201 bytes, the limit is 200"),
        ("a\tb", "has a control character in it"),
    ],
)
def test_what_is_no_key_is_refused_at_the_enqueue(app: App, given: object, said: str) -> None:
    @app.task(flow=Flow("crm", key=lambda n: given, fair=True))
    def sync(n: int) -> None: ...

    with pytest.raises(ConfigError, match=said):
        sync.job(1)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("custumer", 'the key "custumer" is no parameter .*; did you mean "customer"?'),
        ("zzz", 'is no parameter of the task "sync"; they are customer, page'),
        (by_client, 'the key "client" is no parameter of the task "sync"'),
        (by_all, "must name parameters of the task, as in key=lambda"),
        (by_nothing, "must name parameters of the task"),
    ],
)
def test_a_key_that_no_call_gives_is_refused_at_once(app: App, key: Any, said: str) -> None:
    def sync(customer: str, page: int) -> None: ...

    with pytest.raises(ConfigError, match=said):
        app.task(flow=Flow("crm", key=key, fair=True))(sync)


def test_tasks_share_a_flow_with_the_same_limits(app: App) -> None:
    @app.task(flow=Flow("crm", key="customer", key_concurrency=2))
    def read(customer: str) -> None: ...

    @app.task(flow=Flow("crm", key="client", key_concurrency=2))
    def write(client: str) -> None: ...

    assert app.tasks.flows() == {"crm": {"key_concurrency": 2}}
    with pytest.raises(ConfigError, match='flow "crm" has other limits in task "read" than in'):
        app.task(name="third", flow=Flow("crm", concurrency=2))(lambda: None)


@pytest.mark.parametrize("given", ["crm", 5])
def test_a_task_takes_a_flow_alone(app: App, given: Any) -> None:
    with pytest.raises(ConfigError, match=r"flow must be a Flow, got .*; write flow=pgqueue\.Flow"):
        app.task(name="t", flow=given)(lambda: None)


def test_a_key_or_a_weight_belongs_to_a_flow(app: App) -> None:
    @app.task
    def plain(n: int) -> None: ...

    said = '{} belongs to a job of a flow; give flow="name" as well'
    for options in ({"flow_key": "acme"}, {"weight": 2}):
        (name,) = options
        with pytest.raises(ConfigError, match=said.format(name)):
            plain.using(**options)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=said.format(name)):
            Client("postgresql://nowhere.invalid/none").job("plain", {}, **options)  # type: ignore[arg-type]
    job = plain.using(flow="crm", flow_key="acme", weight=2).job(1)
    assert job.options == {**plain.options, "flow": "crm", "flow_key": "acme", "weight": 2}


def test_a_schedule_gives_its_jobs_a_place_in_a_flow(app: App) -> None:
    @app.task(flow=Flow("crm", key="customer", key_concurrency=2))
    def sync(customer: str) -> None: ...

    app.schedule("each", sync, args={"customer": "acme"}, every=60, weight=3)
    app.schedule("made", sync, args=lambda slot: {"customer": "made"}, every=60)
    for name, key in (("each", "acme"), ("made", "made")):
        declared = app.declared.get(name)
        assert declared is not None
        job = app.slot_job(read(name, declared.settings), None)
        assert job is not None
        assert (job.options["flow"], job.options["flow_key"]) == ("crm", key)
        assert job.options.get("weight") == (3 if name == "each" else None)
    with pytest.raises(ConfigError, match="weight belongs to a job of a flow"):
        app.schedule("plain", app.task(name="p")(lambda: None), every=60, weight=3)
