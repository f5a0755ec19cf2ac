"""Several servers: what looks at all of them, and the function that enqueues at one of them."""

from __future__ import annotations

import json

import psycopg
import pytest

from pgqueue import ConfigError
from pgqueue.client import Client
from pgqueue.dsn import cell_names, check_cells
from tests.cli.conftest import Run, bury, one_line

NOBODY = "postgresql://127.0.0.1:1/nobody"


@pytest.mark.parametrize(
    ("dsns", "names"),
    [
        (["postgresql://u:secret@one/shop", "postgres://two/shop"], ["one", "two"]),
        (["postgresql://one/a", "host=one dbname=b"], ["a", "b"]),
        (["postgresql://one:5433/a", "postgresql://one/a"], ["one:5433", "one:5432"]),
        (
            ["postgresql://one/a", "postgresql://one/b", "postgresql://two/a"],
            ["one:5432/a", "one:5432/b", "two:5432/a"],
        ),
        (["embedded:/data/one", "embedded:/data/two/"], ["one", "two"]),
        (["postgresql://one/a?user=x", "postgresql://one/a?user=y"], ["1", "2"]),
    ],
)
def test_cells_have_the_shortest_names_that_tell_them_apart(
    dsns: list[str], names: list[str]
) -> None:
    assert list(cell_names(dsns)) == names


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("postgresql://u:secret@one/shop", "must be a list"),
        ([], "at least one"),
        ([1], "must be a dsn"),
        (["postgresql://u:secret@one/shop"] * 2, "there twice"),
    ],
)
def test_what_is_no_list_of_servers_is_refused(wrong: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        check_cells(wrong)
    assert "secret" not in str(caught.value)


def test_looks_at_all_servers_and_names_the_one_that_is_away(
    run: Run, client: Client, dsn: str, other_dsn: str, db: psycopg.Connection
) -> None:
    first, second, third = cell_names([dsn, other_dsn, NOBODY])
    with Client(other_dsn) as there:
        mine, theirs = client.enqueue("mine").id, there.enqueue("theirs", queue="mail").id
        bury(db, client.enqueue("gone").id)
    where = ("--dsn", dsn, "--dsn", other_dsn, "--dsn", NOBODY)

    listed = run(*where, "jobs", "list")
    assert listed.exit_code == 0
    assert listed.stdout.index(f"{second}:{theirs}") < listed.stdout.index(f"{first}:{mine}")
    assert f"{third} does not answer" in listed.stderr
    jobs = json.loads(run("jobs", "list", *where, "--json").stdout)
    assert {(job["cell"], job["task"]) for job in jobs} == {
        (first, "mine"), (second, "theirs"), (first, "gone"),
    }  # fmt: skip
    assert f"{first}:" in run("dead", "list", *where).stdout
    (count,) = json.loads(run("dead", "list", "--count", *where, "--json").stdout)
    assert (count["cell"], count["task"]) == (first, "gone")
    assert f"{second}:mail" in run("queues", "list", *where).stdout
    assert run("workers", *where).exit_code == 0

    status = run("status", *where)
    assert f"{second}:mail" in status.stdout
    assert f"{third} does not answer" in status.stderr
    whole = json.loads(run("status", *where, "--json").stdout)
    assert list(whole) == [first, second, third]
    assert "error" in whole[third]
    assert whole[second]["jobs"]["pending"] == 1


def test_what_is_for_one_server_refuses_several(run: Run, dsn: str, other_dsn: str) -> None:
    where = ("--dsn", dsn, "--dsn", other_dsn)
    for command in (("enqueue", "t"), ("jobs", "show", "1"), ("dead", "purge", "--all")):
        refused = run(*command, *where)
        assert refused.exit_code == 2
        assert "give one --dsn" in one_line(refused)
    assert "--before" in one_line(run("jobs", "list", "--before", "9", *where))
    assert run("--dsn", "postgresql://other/x", "status", "--dsn", dsn).exit_code == 0
    nobody = run("status", "--dsn", NOBODY, "--dsn", "postgresql://127.0.0.1:2/nobody")
    assert nobody.exit_code == 1
    assert "no server answers" in nobody.stderr


def test_the_function_enqueues_in_the_transaction_of_the_data(
    run: Run, dsn: str, db: psycopg.Connection
) -> None:
    """Without Citus, whose own function is stood in for; all else is as on a node."""
    asked = ("cells", "sql", "--table", "shop.data", "--column", "tenant")
    told = run(*asked)
    assert told.exit_code == 0
    assert "set_config" not in told.stdout
    db.execute("create schema shop; create table shop.data (tenant bigint, n int)")
    db.execute(
        "create function create_distributed_function(f regprocedure, arg text,"
        " colocate_with text, force_delegation bool) returns text language sql"
        " as $$ select f::text || ' ' || arg || ' ' || colocate_with::regclass $$"
    )
    db.execute("insert into shop.data values (7, 0)")
    for _ in range(2):  # it may be run again
        made = db.execute(told.stdout.encode())
        while made.nextset():
            pass
        assert made.fetchall() == [("enqueue_at(bigint,jsonb) tenant shop.data",)]
    one = """select enqueue_at(7, '[{"task": "settle", "args": {"tenant": 7}}]')"""
    with psycopg.connect(dsn) as theirs:
        for end in (theirs.rollback, theirs.commit):
            theirs.execute("update shop.data set n = n + 1 where tenant = 7")
            ((ids,),) = theirs.execute(one.encode()).fetchall()
            end()
    assert db.execute("select id from pgqueue.job").fetchall() == [(ids[0],)]

    told = run(*asked, "--one-node", "--type", "text", "--function", "at", "--schema", "s")
    assert "set_config('pgqueue.notify', 'on', true)" in told.stdout
    assert '"s".enqueue(jobs)' in told.stdout
    wrong = run(*asked, "--type", "text) drop")
    assert (wrong.exit_code, "no type" in one_line(wrong)) == (2, True)
