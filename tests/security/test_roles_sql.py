"""S7, S8: the SQL of ``pgqueue roles`` itself: again and again, with any names, as documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import errors, sql

from pgqueue import Client, PgQueueError
from pgqueue.cli.root import cli
from pgqueue.db.roles import ROLES
from tests.security.conftest import Logins, dsn_as, printed


@pytest.mark.rule("S8")
def test_the_sql_can_be_run_again(logins: Logins) -> None:
    before = _rights(logins)
    logins.root.execute(printed("--prefix", logins.prefix).encode())
    assert _rights(logins) == before
    logins.root.execute(sql.SQL("grant select on pgqueue.job to {}").format(logins.ident("viewer")))
    logins.root.execute(printed("--prefix", logins.prefix).encode())
    assert _rights(logins) == before


def _rights(logins: Logins) -> list[Any]:
    return logins.root.execute(
        "select relname, relowner::regrole::text,"
        " (select array_agg(a::text order by a::text) from unnest(relacl) as a),"
        " (select array_agg(attname || attacl::text order by attnum) from pg_attribute"
        "  where attrelid = pg_class.oid and attacl is not null)"
        " from pg_class where relnamespace = 'pgqueue'::regnamespace order by relname"
    ).fetchall()


HOSTILE_TEMP = """
create function pg_temp.steal(x text) returns boolean language plpgsql as $$
begin
    if current_user <> session_user and current_user like '%owner' then
        raise exception 'stolen: this runs as %', current_user;
    end if;
    return true;
end $$;
create domain pg_temp.text as pg_catalog.text check (pg_temp.steal(value));
create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.steal(value::pg_catalog.text));
create domain pg_temp.timestamptz as pg_catalog.timestamptz
    check (pg_temp.steal(value::pg_catalog.text));
create domain pg_temp.float8 as pg_catalog.float8 check (pg_temp.steal(value::pg_catalog.text));
create temp table job (id bigint);
"""


UNPINNED = """
create function pgqueue.door(x jsonb) returns boolean language plpgsql
security definer set search_path = '' as $$
declare y text := x ->> 'task';
begin return y is not null; end $$;
"""


@pytest.mark.rule("S7")
def test_a_caller_cannot_put_types_of_its_own_into_a_door(logins: Logins) -> None:
    """What a session has in pg_temp is looked at first, unless pg_temp is named last."""
    calls = (
        """select * from pgqueue.enqueue('[{"task": "t", "delay": 1, "tags": ["a"]}]')""",
        """select * from pgqueue.enqueue('[{"task": "t", "unique_key": "k"}]')""",
        """select * from pgqueue.enqueue_checked('[{"task": "t", "unique_key": "l"}]')""",
        "select pgqueue.enqueue_one('t', '{}', 'default', 3, 25, true)",
        "select pgqueue.enqueue_alike('t', '[{}, {}]', 'default', 3, 25)",
        "select pgqueue.ensure_history(9)", "select pgqueue.drop_history('0 s')",
    )  # fmt: skip
    with psycopg.connect(logins.dsn_of("owner"), autocommit=True) as owner:
        owner.execute(UNPINNED.encode())
        owner.execute("grant execute on function pgqueue.door(jsonb) to public")
    with psycopg.connect(logins.dsn_of("worker"), autocommit=True) as caller:
        caller.execute(HOSTILE_TEMP.encode())
        with pytest.raises(errors.RaiseException, match=r"stolen: this runs as .*_owner"):
            caller.execute("""select pgqueue.door('{"task": "t"}')""")
        for call in calls:
            caller.execute(call.encode())


@pytest.mark.rule("S8")
def test_the_names_of_roles_are_quoted(root: psycopg.Connection, dsn: str) -> None:
    """A prefix of any kind, and a schema of any kind, end as exactly that."""
    weird = "we\"ird 'p\\x %s $1"
    done = CliRunner().invoke(cli, ["--dsn", dsn, "--schema", weird, "migrate"])
    assert done.exit_code == 0, done.output
    root.execute(printed("--schema", weird, "--prefix", weird).encode())
    found = root.execute("select rolname from pg_roles where rolname like 'we%'").fetchall()
    names = [name for (name,) in found]
    try:
        assert sorted(names) == sorted(f"{weird}_{role}" for role in ROLES)
    finally:
        for name in names:
            root.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(name)))
            root.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


DOCS = Path(__file__).parents[2] / "docs" / "guide" / "security.md"


@pytest.mark.rule("S8")
def test_the_commands_of_the_documentation(
    empty_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand there, in a shell, with a psql that only runs what it is given."""
    block = re.search(r"<!-- roles -->\n```sh\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert block is not None
    fake = tmp_path / "psql"
    fake.write_text(FAKE_PSQL.format(python=sys.executable))
    fake.chmod(0o755)
    ours = tmp_path / "pgqueue"
    ours.write_text(f"#!{sys.executable}\nfrom pgqueue.cli import main; main()\n")
    ours.chmod(0o755)
    with psycopg.connect(empty_dsn, autocommit=True) as root:
        try:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block[1]],
                env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}",
                     "PGQUEUE_DSN": empty_dsn, "DSN": empty_dsn},
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            with Client(dsn_as(empty_dsn, "shop_web")) as web:
                web.enqueue("t")
                with pytest.raises(PgQueueError, match="permission denied"):
                    web.list_jobs()
            with Client(dsn_as(empty_dsn, "shop_worker")) as worker:
                worker.enqueue("t")
            assert shown(dsn_as(empty_dsn, "shop_grafana"),
                           "select count(*) from pgqueue.jobs") == [(2,)]  # fmt: skip
        finally:
            names = [f"pgqueue_{role}" for role in ROLES]
            for name in [*names, "shop_web", "shop_worker", "shop_grafana", "shop_ops"]:
                exists = root.execute("select from pg_roles where rolname = %s", (name,))
                if exists.fetchall():
                    root.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(name)))
                    root.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


FAKE_PSQL = """#!{python}
import sys
import psycopg
dsn, rest = sys.argv[1], sys.argv[2:]
text = rest[rest.index("-c") + 1] if "-c" in rest else sys.stdin.read()
psycopg.connect(dsn, autocommit=True).execute(text)
"""


def shown(dsn: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(text.encode()).fetchall()
