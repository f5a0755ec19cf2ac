"""The fixtures: servers, databases, faults, and the leak check.

PGQUEUE_TEST_PG   the PostgreSQL versions to test with: ``15,16,18`` or ``all``; the newest if unset
PGQUEUE_TEST_DSN  the superuser's dsn of a server to use in their place
CI                a missing server or pgbouncer fails the test; it is skipped otherwise
PGQUEUE_TEST_SEARCH_PATH  empty, hostile or better: what every database has; see hostile.py
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings
from psycopg.conninfo import conninfo_to_dict

from tests.harness import dispositions, hostile, servers
from tests.harness.pgbouncer import bouncer
from tests.harness.proxy import Proxy
from tests.harness.servers import Server
from tests.harness.waiting import remaining

pytest_plugins = (
    "tests.harness.suite.collecting",
    "tests.harness.suite.selection",
    "tests.harness.suite.notes",
)

SCHEMA = "pgqueue"
_LEAK_SECONDS = 30.0
_LAYERS_ON_ONE = {"chaos", "corpus", "fault", "kill", "model", "past", "security"}
_ALONE = {"e2e", "kill"}  # by directory; more are marked where they are
_LONG = {"cli"}  # on the newest, and on each if the long tests run as well
_AROUND = {"drivers", "e2e", "property", "worker"}  # CI: older versions on its other Pythons
# On the oldest and the newest: db sends the same statements to those between.
_ENDS = {"flow", "flows", "limits", "schedule"}

_FIRST = {"test_quick.py", "test_machine.py"}
_LAST = "unit"  # each takes milliseconds

# Without the traps of a hostile path: tests have triggers of their own, and completions in a job's
# transaction run with the path of its session (S6). tests/security sets the traps for them.
_PLAIN = {"worker"}

_AGAIN = {"drivers"}  # most of these only add rows, so that the next one can have their database

# How fast examples are says something of the machine, not of what is tested.
settings.register_profile(
    "pgqueue", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
)
settings.load_profile("pgqueue")

dispositions.let_children_heed()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "one_pg: run on the newest of the chosen PostgreSQL versions only"
    )
    config.addinivalue_line(
        "markers",
        "alone: real processes, signals or faults: runs after the others, one at a time",
    )
    config.addinivalue_line(
        "markers", "one_turn: CI: on the main Python and on one other, not on each"
    )
    config.addinivalue_line(
        "markers", "together: beside others, though its directory is alone: it mostly waits"
    )
    for label in (
        "past_bug(*numbers): what another queue had; docs/internals/past-bugs.md is the table",
        "fault(*names): a fault of the catalogue: F9 ends one connection of a worker",
        "rule(*names): a rule of docs/guide/security.md",
        "invariant(*names): an invariant that the checker of chaos decides",
        "law(*numbers): a law of docs/internals/laws.md",
        "report(*names): what a user or an experiment reported",
    ):
        config.addinivalue_line("markers", label)
    config.addinivalue_line("markers", "long: runs with --long only, as make test-all does")
    servers.sweep()


def pytest_itemcollected(item: pytest.Item) -> None:
    if _ALONE.intersection(item.path.parts) and not item.get_closest_marker("together"):
        item.add_marker("alone")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest begin first: at the end, all processes would wait for the one that has them."""
    items.sort(key=lambda item: (item.path.name not in _FIRST, _LAST in item.path.parts))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pg" in metafunc.fixturenames:
        majors = _majors(metafunc)
        ids = [f"pg{major}" if major else "dsn" for major in majors]
        metafunc.parametrize("pg", majors, ids=ids, indirect=True, scope="session")


def _majors(metafunc: pytest.Metafunc) -> list[int | None]:
    """What is long, or more about Python than about SQL, runs on the newest that was asked for."""
    majors = servers.chosen()
    ours = sorted(major for major in majors if major is not None)
    marked = metafunc.definition.get_closest_marker("one_pg") is not None
    layers = set(metafunc.definition.path.parts)
    on_one = _LAYERS_ON_ONE | _AROUND
    long = metafunc.config.getoption("long")
    if marked or layers & (on_one if long else on_one | _LONG):
        return [*ours[-1:]] or majors
    if layers & _ENDS and not long:
        return [*dict.fromkeys((*ours[:1], *ours[-1:]))] or majors
    return majors


class Clusters:
    """The servers of this test process, each started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._servers: dict[int | None, Server] = {}

    def __getitem__(self, major: int | None) -> Server:
        """The server of that major; None for the one of PGQUEUE_TEST_DSN."""
        if major not in self._servers:
            if major is None:
                dsn = servers.theirs()
                assert dsn is not None
                server = Server(dsn)
                self._stack.callback(server.close)
            else:
                server = self._stack.enter_context(servers.own_server(major))
            self._servers[major] = server
        return self._servers[major]


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    with ExitStack() as stack:
        yield Clusters(stack)


@pytest.fixture(scope="session")
def pg(clusters: Clusters, request: pytest.FixtureRequest) -> Server:
    """A server of each chosen version in turn. Its databases are shared with other tests."""
    return clusters[request.param]


@pytest.fixture
def empty_dsn(pg: Server) -> Iterator[str]:
    """The dsn of a database of this test's own, with nothing in it."""
    yield from _database(pg, "template0", hostile.asked_for())


@pytest.fixture
def migrated(pg: Server) -> str:
    """A database with the schema ``pgqueue``, to make others from."""
    from pgqueue.db.migrate import migrate

    return pg.template("migrated", lambda target: migrate(target, SCHEMA))


@pytest.fixture
def dsn(pg: Server, migrated: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The dsn of a database of this test's own, with the schema ``pgqueue`` migrated."""
    from pgqueue.db.migrate import migrate

    async def trapped(target: str) -> None:
        await migrate(target, SCHEMA)
        hostile.lay(pg, conninfo_to_dict(target)["dbname"], hostile.OURS)

    plain = _PLAIN.intersection(request.path.parts)
    path = None if plain else hostile.asked_for()
    template = migrated if path is None else pg.template("trapped", trapped)
    again = bool(_AGAIN.intersection(request.path.parts))
    yield from _database(pg, template, path, laid=True, again=again)


def _database(
    pg: Server, template: str, path: str | None, *, laid: bool = False, again: bool = False
) -> Iterator[str]:
    """A database made from that template, with that path.

    ``laid``: the template has the traps. ``again``: another test may have had it, and it is as new.
    """
    kind = (template, path)
    name = pg.reused.take(kind) if again else None
    known, well, caught = name is not None, False, None
    name = name or pg.create(template)
    try:
        if path is not None:
            if not known:
                if not laid:
                    hostile.lay(pg, name, hostile.OURS)
                hostile.set_path(pg, name, path)
            caught = hostile.caught(pg, name)
        if again and not known:
            pg.reused.add(name)
        yield pg.dsn_for(name)
        assert caught is None or not caught()
        left = remaining(lambda: pg.sessions(name, "pgqueue%"), timeout_s=_LEAK_SECONDS)
        assert not left, f"this test has left sessions behind: {left}"
        well = True
    finally:
        if not (again and well and pg.reused.release(kind, name)):
            pg.drop(name)


@pytest.fixture
def other_dsn(pg: Server, migrated: str) -> Iterator[str]:
    """A second database like ``dsn``."""
    name = pg.create(migrated)
    yield pg.dsn_for(name)
    pg.drop(name)


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    """A proxy in front of ``dsn`` that can be told to fail; connect to ``proxy.dsn``."""
    proxy = Proxy(dsn)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture
def bouncer_dsn(dsn: str) -> Iterator[str]:
    """``dsn`` through a pgbouncer in transaction mode."""
    with bouncer(dsn) as through:
        yield through


@pytest.fixture(autouse=True)
def leaks() -> Iterator[None]:
    """Fail a test that leaves a thread of ours behind; databases check for sessions."""
    before = set(threading.enumerate())
    yield

    def left() -> list[str]:
        threads = set(threading.enumerate()) - before
        return sorted(thread.name for thread in threads if thread.name.startswith("pgqueue-"))

    names = remaining(left, timeout_s=_LEAK_SECONDS)
    assert not names, f"this test has left threads behind: {names}"
