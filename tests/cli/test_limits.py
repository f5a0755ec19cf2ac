"""``pgqueue queues limit`` and ``pgqueue queues limits``."""

from __future__ import annotations

import json

import psycopg
from click.testing import Result

from tests.cli.conftest import Run


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_limit_from_its_making_to_its_end(on: Run, dsn: str) -> None:
    assert "no limits" in on("queues", "limits").stderr
    made = on("queues", "limit", "mail", "--concurrency", "5", "--rate", "1000/min", "--actor",
              "ann", "--reason", "slow server", "--new")  # fmt: skip
    assert said(made) == 'queue "mail" is limited: 5 at once; 1000/min, 1 at the same moment\n'
    table = said(on("queues", "limits"))
    for word in ("mail", "5", "1000/min", "ann"):
        assert word in table
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """update pgqueue.queue set declared = '{"concurrency": 50}' where name = 'mail'"""
        )
    assert '"mail": concurrency is 5, in code 50' in said(on("queues", "limits"))
    assert said(on("queues", "limit", "mail", "--off")) == 'queue "mail" is without limits\n'
    (info,) = json.loads(said(on("queues", "limits", "--json")))
    assert info["concurrency"] is None
    assert "as its code declares it: 50 at once" in said(on("queues", "limit", "mail", "--reset"))
    assert "was not changed: 50 at once" in said(on("queues", "limit", "mail", "--reset"))


def test_nothing_or_two_things_at_once_are_refused(on: Run) -> None:
    for options in ((), ("--off", "--reset"), ("--off", "--concurrency", "5")):
        assert "give limits, or --off, or --reset" in on("queues", "limit", "mail", *options).output
    assert (
        'rate must be text such as "100/s"'
        in on("queues", "limit", "m", "--new", "--rate", "5").output
    )


def test_one_limit_is_lifted_also_if_its_burst_stays(on: Run, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """insert into pgqueue.queue (name, declared)
               values ('mail', '{"concurrency": 5, "rate": 10, "burst": 3}')"""
        )
    lifted = said(on("queues", "limit", "mail", "--rate", "none"))
    assert lifted == 'queue "mail" is limited: 5 at once\n'
    lifted = said(on("queues", "limit", "mail", "--concurrency", "none"))
    assert lifted == 'queue "mail" is without limits\n'
    refused = on("queues", "limit", "mail", "--burst", "5")
    assert "burst needs a rate" in refused.output


def test_a_queue_that_is_not_there_gets_the_nearest(on: Run, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into pgqueue.queue (name) values ('mail')")
    for options in (("--concurrency", "5"), ("--off",), ("--reset",)):
        refused = on("queues", "limit", "mial", *options)
        assert refused.exit_code == 1
        assert 'no queue is named "mial"; did you mean "mail"?; --new' in refused.output
    with psycopg.connect(dsn) as connection:
        (queues,) = connection.execute("select count(*) from pgqueue.queue").fetchone() or (0,)
    assert queues == 1
