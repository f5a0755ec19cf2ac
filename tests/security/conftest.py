"""Logins of several roles on a test's database, and eyes on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from pgqueue.cli.root import cli
from pgqueue.db.roles import ROLES
from tests.worker.support import Eyes, eyes_on


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGQUEUE_DSN", "PGQUEUE_SCHEMA", "PGQUEUE_TRACEBACK", "PYTHONSAFEPATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def eyes(dsn: str) -> AsyncIterator[Eyes]:
    async with eyes_on(dsn) as eyes:
        yield eyes


@pytest.fixture
def root(dsn: str) -> Iterator[psycopg.Connection]:
    """A superuser's session."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def dsn_as(dsn: str, user: str, role: str | None = None) -> str:
    """The dsn for another login; ``role``: which its sessions take on."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    parts = parts._replace(netloc=f"{quote(user, safe='')}@{host}")
    if role is not None:
        option = f"options={quote(f'-c role={role}', safe='')}"
        parts = parts._replace(query=f"{parts.query}&{option}" if parts.query else option)
    return urlunsplit(parts)


class Logins:
    """A login for each role that ``pgqueue roles`` makes, and one that may do nothing."""

    def __init__(self, root: psycopg.Connection, dsn: str, *, inherit: bool) -> None:
        self.root = root
        self.dsn = dsn
        self.inherit = inherit
        self.prefix = str(root.execute("select current_database()").fetchone()[0])  # type: ignore[index]

    def make(self) -> None:
        root = self.root
        root.execute(printed("--prefix", self.prefix).encode())
        self.login("nobody")
        for role in ROLES:
            name = self.login(role)
            root.execute(sql.SQL("grant {} to {}").format(self.ident(role), sql.Identifier(name)))

    def login(self, role: str) -> str:
        name = f"{self.prefix}_as_{role}"
        inherit = sql.SQL("inherit" if self.inherit else "noinherit")
        self.root.execute(sql.SQL("create role {} login {}").format(sql.Identifier(name), inherit))
        return name

    def ident(self, role: str) -> sql.Identifier:
        return sql.Identifier(f"{self.prefix}_{role}")

    def dsn_of(self, role: str) -> str:
        user = f"{self.prefix}_as_{role}"
        takes_on = None if self.inherit or role == "nobody" else f"{self.prefix}_{role}"
        return dsn_as(self.dsn, user, takes_on)

    def drop(self) -> None:
        names = [f"{self.prefix}_{role}" for role in ROLES]
        names += [f"{self.prefix}_as_{role}" for role in (*ROLES, "nobody")]
        for name in names:
            self.root.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(name)))
        for name in names:
            self.root.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def printed(*args: str) -> str:
    """What ``pgqueue roles`` prints."""
    result = CliRunner().invoke(cli, ["roles", *args])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(params=["inherit", "noinherit"])
def logins(request: pytest.FixtureRequest, root: psycopg.Connection, dsn: str) -> Iterator[Logins]:
    logins = Logins(root, dsn, inherit=request.param == "inherit")
    logins.make()
    yield logins
    logins.drop()
