"""Where a dsn leads: services, password files and the environment, as libpq has them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.harness.proxy import Proxy

from pgqueue import Client, ConfigError, Unreachable
from pgqueue.db.connect import open_connection, socket_of
from pgqueue.db.faults import Contended, as_ours
from pgqueue.db.target import keepalive_parameters, resolve, session_attributes
from pgqueue.errors import DatabaseError

HERE = "postgresql://u@h/d"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("PG") and not name.startswith("PGQUEUE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path / "etc"))
    return tmp_path


def write(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_what_asyncpg_is_told() -> None:
    target = resolve(
        "postgresql://u:p%40@h:6,i/d?connect_timeout=1&keepalives_idle=30&tcp_user_timeout=5000"
        "&channel_binding=prefer&options=-c%20jit%3Doff&sslmode=verify-ca&sslrootcert=/a%20b"
    )
    told = target.arguments
    assert (told["host"], told["port"]) == (["h", "i"], [6, 5432])
    assert (told["user"], told["password"], told["database"]) == ("u", "p@", "d")
    assert told["dsn"] == "postgresql://?sslrootcert=%2Fa%20b"
    assert told["ssl"] == "verify-ca"
    assert told["target_session_attrs"] == "read-write"
    assert target.settings == {"options": "-c jit=off"}
    assert target.connect_timeout == 2.0
    assert target.socket_options == {"TCP_KEEPIDLE": 30, "TCP_USER_TIMEOUT": 5000}
    assert "p@" not in repr(target)


@pytest.mark.parametrize(
    ("dsn", "variable", "attributes"),
    [
        ("postgresql://h/d", None, None),
        ("postgresql://h,i/d", None, "read-write"),
        ("postgresql:///d?host=/a,/b", None, "read-write"),
        ("host=h,i", None, "read-write"),
        ("postgresql://h,i/d?target_session_attrs=any", None, "any"),
        ("postgresql://h,i/d", "primary", "primary"),
        ("postgresql://h/d", "primary", "primary"),
    ],
)
def test_of_several_hosts_the_one_that_can_be_written_to_is_taken(
    monkeypatch: pytest.MonkeyPatch, dsn: str, variable: str | None, attributes: str | None
) -> None:
    if variable:
        monkeypatch.setenv("PGTARGETSESSIONATTRS", variable)
    assert session_attributes(dsn) == attributes
    assert resolve(dsn).arguments.get("target_session_attrs") == attributes


def test_what_is_given_wins_over_the_service_and_that_over_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home / ".pg_service.conf", "[shop]\nhost=s\nport=7\nuser=su\n")
    for name, value in {"PGHOST": "e", "PGPORT": "8", "PGUSER": "eu", "PGDATABASE": "ed"}.items():
        monkeypatch.setenv(name, value)
    told = resolve("postgresql://h?service=shop").arguments
    assert (told["host"], told["port"], told["user"], told["database"]) == (["h"], [7], "su", "ed")
    monkeypatch.setenv("PGSERVICE", "shop")
    assert resolve("postgresql://").arguments["host"] == ["s"]


def test_a_service_is_looked_for_where_libpq_looks(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "etc").mkdir()
    write(home / "etc" / "pg_service.conf", "[all]\nhost=all\n[shop]\nhost=etc\n")
    own = write(home / "own.conf", "[shop]\nhost=own\n")
    monkeypatch.setenv("PGSERVICEFILE", own)
    assert resolve("service=shop").arguments["host"] == ["own"]
    assert resolve("service=all").arguments["host"] == ["all"]
    with pytest.raises(ConfigError, match=r'service "shp" is not in .*own.conf or .*"shop"'):
        resolve("service=shp")


def test_a_service_without_a_file_says_so() -> None:
    with pytest.raises(
        ConfigError, match=r'service "shop" is not in a service file.*PGSERVICEFILE'
    ):
        resolve("service=shop")


def test_a_service_is_checked_as_a_dsn_is(home: Path) -> None:
    write(home / ".pg_service.conf", "[shop]\nchannel_binding=require\n")
    with pytest.raises(ConfigError, match="channel_binding"):
        resolve("service=shop")


def test_the_password_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".pgpass", r"h:5432:d:u:a\:b" "\n/tmp:*:*:*:socket\nlocalhost:*:*:*:local\n")
    assert resolve(HERE).arguments["password"] == "a:b"
    assert resolve("postgresql://u:given@h/d").arguments["password"] == "given"
    assert resolve("host=/tmp user=u").arguments["password"] == "socket"
    assert resolve("host=/run user=u").arguments["password"] == "local"
    assert resolve("user=u").arguments["password"] == "local"
    assert "password" not in resolve("host=other user=u").arguments
    monkeypatch.setenv("PGPASSWORD", "variable")
    assert resolve(HERE).arguments["password"] == "variable"
    monkeypatch.delenv("PGPASSWORD")
    own = write(home / "own", "*:*:*:*:own\n")
    assert resolve(f"{HERE}?passfile={own}").arguments["password"] == "own"
    monkeypatch.setenv("PGPASSFILE", own)
    assert resolve(HERE).arguments["password"] == "own"


def test_a_password_file_that_others_may_read_is_not_used(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(home / ".pgpass", "*:*:*:*:secret\n", 0o640)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert "password" not in resolve(HERE).arguments
    assert [path in text for text in caplog.messages] == [True]
    assert "0600" in caplog.text
    assert "secret" not in caplog.text


def test_hosts_with_different_passwords_are_refused(home: Path) -> None:
    write(home / ".pgpass", "h:*:*:*:one\ni:*:*:*:two\n")
    with pytest.raises(ConfigError, match="different passwords") as caught:
        resolve("postgresql://u@h,i/d")
    assert "one" not in str(caught.value).replace("asyncpg tries one", "")


def test_a_process_whose_user_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(ConfigError, match=r"names no user.*USER@HOST"):
        resolve("postgresql://h/d")


@pytest.mark.parametrize("form", ["pairs", "service", "query", "upper"])
def test_every_form_of_a_dsn_leads_there(dsn: str, home: Path, form: str) -> None:
    given = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value}
    match form:
        case "pairs":
            there = make_conninfo("", **given)
        case "service":
            write(
                home / ".pg_service.conf",
                "[shop]\n" + "".join(f"{k}={v}\n" for k, v in given.items()),
            )
            there = "postgresql:///?service=shop"
        case "query":
            there = "postgresql://?" + "&".join(f"{k}={v}" for k, v in given.items())
        case _:
            there = "POSTGRESQL" + dsn.removeprefix("postgresql")
    with Client(there) as client:
        client.enqueue("t")
        assert client.pool.dsn.startswith("postgresql://")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from pgqueue.job").fetchone() == (1,)


def test_keepalives_of_a_dsn_are_left_as_they_are() -> None:
    ours = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}
    assert keepalive_parameters(HERE) == ours
    del ours["keepalives_idle"]
    assert keepalive_parameters(f"{HERE}?keepalives_idle=70&keepalives=0") == ours


MORE = (
    "channel_binding=prefer&connect_timeout=10&keepalives=1&keepalives_idle=30&gssencmode=disable"
    "&application_name=shop&tcp_user_timeout=9000&options=-c%20work_mem%3D5MB&sslmode=prefer"
)


async def test_parameters_of_libpq_work_on_a_connection(dsn: str, proxy: Proxy) -> None:
    connection = await open_connection(f"{proxy.dsn}?{MORE}", name="x", seconds=30, settings={})
    assert await connection.fetchval("show work_mem") == "5MB"
    own = socket_of(connection)
    assert own is not None
    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 9000
    await connection.close()


# -- what is said, and what is not


def others() -> set[asyncio.Task[Any]]:
    """What else runs on this loop."""
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


async def test_a_cancelled_connect_leaves_no_future_behind(proxy: Proxy) -> None:
    """Whenever it is cancelled: asyncpg keeps futures with errors that nobody reads."""
    loop = asyncio.get_running_loop()
    said: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: said.append(context))
    for steps in range(120):
        call = asyncio.ensure_future(
            open_connection(proxy.dsn, name="pgqueue client", seconds=30, settings={})
        )
        for _ in range(steps % 40):
            await asyncio.sleep(0)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await call).terminate()
        while len(others()) >= 15:  # many more of them would be cancelled
            await asyncio.wait(others(), return_when=asyncio.FIRST_COMPLETED)
    while others():
        await asyncio.wait(others(), timeout=30)
    gc.collect()
    await asyncio.sleep(0)
    assert said == []


def test_a_connect_without_descriptors_says_so() -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for error in (
        OSError(errno.EMFILE, "Too many open files"),
        OSError("Multiple exceptions: [Errno 24] Connect call failed, [Errno 24] x"),
    ):
        ours = as_ours(error, HERE, connecting=True)
        assert isinstance(ours, Unreachable)
        assert f"this process has no file descriptors left (limit {limit})" in str(ours)
    ours = as_ours(OSError(errno.ENFILE, "x"), HERE, connecting=True)
    assert "this machine has no file descriptors left" in str(ours)


@pytest.mark.alone
@pytest.mark.parametrize("call", ["app.enqueue('t')", "loop.run_until_complete(app.aenqueue('t'))"])
def test_a_process_without_descriptors_is_told_so(dsn: str, call: str) -> None:
    code = f"""
import asyncio, os, resource, asyncpg, pgqueue
app = pgqueue.App()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
loop = asyncio.new_event_loop()
files = []
try:
    while True: files.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
try: {call}
except pgqueue.Unreachable as exc: print(exc)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PGQUEUE_DSN": dsn},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "no file descriptors left (limit 64)" in done.stdout, done.stderr


def error(make: Callable[[], Exception]) -> str:
    return str(as_ours(make(), HERE))


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (asyncpg.InvalidSQLStatementNameError, "pgbouncer=True"),
        (asyncpg.DuplicatePreparedStatementError, "pgbouncer=True"),
        (asyncpg.IdleInTransactionSessionTimeoutError, "idle_in_transaction_session_timeout"),
        (asyncpg.LockNotAvailableError, "a lock that another transaction holds; nothing was done"),
        (asyncpg.QueryCanceledError, "it took too long"),
        (asyncpg.ReadOnlySQLTransactionError, "a standby"),
    ],
)
def test_what_the_server_says_is_explained(cause: Callable[[str], Exception], said: str) -> None:
    assert said in error(lambda: cause("as the server says"))
    assert "as the server says" in error(lambda: cause("as the server says")) or said.startswith(
        "idle"
    )


def test_where_no_host_takes_writes_that_is_said() -> None:
    cause = asyncpg.TargetServerAttributeNotMatched("None of the hosts match")
    ours = as_ours(cause, "postgresql://me:secret@h,i/d", connecting=True)
    assert "read-write" in str(ours)
    assert "all are standbys" in str(ours)
    assert "secret" not in str(ours)


def test_a_wait_for_a_lock_is_contention() -> None:
    assert isinstance(as_ours(asyncpg.LockNotAvailableError("x"), HERE), Contended)
    assert isinstance(as_ours(asyncpg.DuplicatePreparedStatementError("x"), HERE), DatabaseError)
