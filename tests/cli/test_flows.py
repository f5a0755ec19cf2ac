"""``pgqueue flows`` and ``pgqueue keys``."""

from __future__ import annotations

import json

import psycopg
import pytest
from click.testing import Result

from tests.cli.conftest import Run


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def filled(dsn: str) -> str:
    """A flow that code declares, with jobs in line of two keys."""
    docs = [{"task": "t", "flow": "crm", "flow_key": key} for key in ("acme", "acme", "duck")]
    settings = {"concurrency": 20, "key_concurrency": 2, "rate": 100.0, "burst": 50}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "insert into pgqueue.flow (name, declared) values ('crm', %s)", [json.dumps(settings)]
        )
        connection.execute("select * from pgqueue.enqueue(%s::jsonb)", [json.dumps(docs)])
        connection.execute("select * from pgqueue.admit('crm', 1, 0, 0, '-infinity')")
    return dsn


def test_flows_are_listed_with_their_limits(on: Run, filled: str) -> None:
    for args in (["flows"], ["flows", "list"]):
        table = said(on(*args))
        assert "crm" in table
        assert "20 at once, 100/s (burst 50), 2 a key" in table
    (info,) = json.loads(said(on("flows", "list", "--json")))
    assert (info["admitted"], info["waiting"], info["keys"]) == (1, 2, 2)
    assert info["declared"]["rate"] == 100.0


def test_a_flow_without_numbers_says_what_holds(on: Run, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "insert into pgqueue.flow (name, declared)"
            """ values ('a', '{"fair": true}'), ('b', null)"""
        )
    fair, unknown = said(on("flows")).splitlines()[2:]
    assert fair.endswith("keys take turns")
    assert unknown.endswith("1 at once, as no code declares it")
    assert "1 at once, as no code declares it" in said(on("flows", "show", "b"))


def test_no_flows(on: Run) -> None:
    assert "no flows" in on("flows").stderr


def test_a_flow_is_changed_and_both_values_are_shown(on: Run, filled: str) -> None:
    changed = on(
        "flows", "set", "crm", "--concurrency", "5", "--key-concurrency", "3", "--rate", "60/min",
        "--key-rate", "1/s", "--actor", "ann", "--reason", "they asked",
    )  # fmt: skip
    assert said(changed) == ('flow "crm" now: 5 at once, 1/s (burst 50), 3 a key, 1/s a key\n')
    table = said(on("flows"))
    assert '"crm": concurrency is 5, in code 20' in table
    assert '"crm": rate is 1/s, in code 100/s' in table
    assert '"crm": key_rate is 1/s, in code not set' in table
    shown = said(on("flows", "show", "crm"))
    assert "in code                20 at once, 100/s (burst 50), 2 a key" in shown
    assert "changed by             ann" in shown
    assert "acme" in shown
    assert said(on("flows", "set", "crm", "--rate", "none", "--burst", "none")).endswith(
        "5 at once, 3 a key, 1/s a key\n"
    )
    again = said(on("flows", "set", "crm", "--reset", "--concurrency", "7"))
    assert again.endswith("7 at once, 100/s (burst 50), 2 a key\n")
    assert "is as its code declares it" in said(on("flows", "reset", "crm"))
    assert "already" in said(on("flows", "reset", "crm"))
    with psycopg.connect(filled) as connection:
        rows = connection.execute("select actor, via, reason from pgqueue.audit order by id")
        assert rows.fetchone() == ("ann", "cli", "they asked")


def test_a_flow_is_paused_and_resumed(on: Run, filled: str) -> None:
    assert "is paused" in said(on("flows", "pause", "crm"))
    assert "was paused already" in said(on("flows", "pause", "crm"))
    assert "paused" in said(on("flows"))
    assert "paused since" in said(on("flows", "show", "crm"))
    assert "is resumed" in said(on("flows", "resume", "crm"))
    assert "did not stand still" in said(on("flows", "resume", "crm"))


def test_keys_are_listed_and_changed(on: Run, filled: str) -> None:
    table = said(on("keys", "crm"))
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["acme", "duck"]
    assert 'key "acme" of flow "crm" is paused' in said(
        on("keys", "crm", "--pause", "acme", "--reason", "abuse")
    )
    assert "abuse" in said(on("keys", "crm", "--stopped"))
    assert "duck" not in said(on("keys", "crm", "--stopped"))
    assert "is resumed" in said(on("keys", "crm", "--resume", "acme"))
    assert "has weight 3" in said(on("keys", "crm", "--weight", "acme=3"))
    assert "had weight 3 already" in said(on("keys", "crm", "--weight", "acme=3"))
    assert "has concurrency 10" in said(on("keys", "crm", "--concurrency", "acme=10"))
    assert "3 (10 at once)" in said(on("keys", "crm"))
    none = said(on("keys", "crm", "--concurrency", "duck=none"))
    assert none == 'key "duck" of flow "crm" had no concurrency of its own already\n'
    (acme,) = json.loads(said(on("keys", "crm", "--limit", 1, "--json")))
    assert (acme["key"], acme["weight"], acme["concurrency"]) == ("acme", 3.0, 10)
    assert "--after acme" in on("keys", "crm", "--limit", 1).stderr
    assert "is as the other keys" in said(on("keys", "crm", "--reset", "acme"))
    assert "has weight 2" in said(on("keys", "crm", "--weight", "soon=2", "--new"))


def test_jobs_of_a_flow_and_a_key_are_listed_and_cancelled(on: Run, filled: str) -> None:
    assert len(json.loads(said(on("jobs", "list", "--flow", "crm", "--json")))) == 3
    (duck,) = json.loads(said(on("jobs", "list", "--key", "duck", "--json")))
    assert (duck["flow"], duck["flow_key"]) == ("crm", "duck")
    shown = said(on("jobs", "show", duck["id"]))
    assert "in line of crm / duck: place 1, 0 of 2 running" in shown
    assert "1 jobs would be" in said(on("jobs", "cancel", "--flow", "crm", "--key", "duck"))
    done = said(on("jobs", "cancel", "--flow", "crm", "--key", "duck", "--yes"))
    assert done.startswith("1 cancelled")
    assert on("jobs", "list", "--flow", "").exit_code == 2


def test_a_job_that_is_run_now_comes_in_line(on: Run, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        (made,) = connection.execute(
            'select id from pgqueue.enqueue(\'{"task": "t", "flow": "crm", "delay": 60}\')'
        ).fetchall()
    assert "in line now" in said(on("jobs", "retry", made[0]))
    assert "in line of crm: place 1" in said(on("jobs", "show", made[0]))


def test_usage_is_shown_by_day_and_key(on: Run, filled: str) -> None:
    assert "no job has said" in on("flows", "usage", "crm").stderr
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute(
            "insert into pgqueue.flow_usage"
            " values ('crm', 'acme', (now() at time zone 'UTC')::date, 3, 812000.5)"
        )
    assert "812,000" in said(on("flows", "usage", "crm"))
    (row,) = json.loads(said(on("flows", "usage", "crm", "--key", "acme", "--json")))
    assert (row["key"], row["jobs"], row["used"]) == ("acme", 3, 812000.5)


@pytest.mark.parametrize(
    ("args", "code", "reason"),
    [
        (["flows", "show", "crn"], 1, 'no flow is named "crn"; did you mean "crm"'),
        (["flows", "pause", "crn"], 2, 'no flow is named "crn"; did you mean "crm"'),
        (["flows", "set", "crm"], 2, "give a limit, or --reset"),
        (["flows", "set", "crm", "--rate", "5"], 2, "100/s"),
        (["flows", "set", "crm", "--concurrency", "many"], 2, '"many" is no limit'),
        (["keys", "crn"], 2, 'no flow is named "crn"; did you mean "crm"'),
        (["keys", "crm", "--pause", "acne"], 2, 'has no key "acne" now; did you mean "acme"'),
        (["keys", "crm", "--weight", "acme"], 2, "takes KEY=N"),
        (["keys", "crm", "--concurrency", "acme=1.5"], 2, "takes KEY=N"),
        (["flows", "shwo"], 2, 'did you mean "show"'),
    ],
)
def test_what_is_wrong_is_said(
    on: Run, filled: str, args: list[str], code: int, reason: str
) -> None:
    found = on(*args)
    assert found.exit_code == code
    assert reason in found.stderr
