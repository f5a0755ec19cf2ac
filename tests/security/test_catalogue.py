"""S7: what runs with its owner's rights, and with which search_path."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from tests.security.conftest import Logins

DOORS = {
    "enqueue(jsonb)", "enqueue_checked(jsonb)",
    "enqueue_one(text,jsonb,text,integer,integer,boolean)",
    "enqueue_alike(text,jsonb,text,integer,integer)", "ensure_history(integer)",
    "drop_history(interval,integer)", "drop_audit(integer)", "drop_usage(integer)",
    "enqueue_unique(jsonb)", "forget_unique(integer)", "forget_keys(integer)",
    "find_full(jsonb)", "refuse_full(jsonb)",
}  # fmt: skip
BARE = "enqueue_one(text,jsonb,text,integer,integer,boolean)"
FUNCTIONS = """
    select proname || '(' || array_to_string(array(
               select format_type(t, null) from unnest(proargtypes) with ordinality as a (t, n)
               order by n), ',') || ')' as name, prosecdef,
           lanname, coalesce(proconfig, '{}') as config,
           has_function_privilege('public', p.oid, 'execute') as public
    from pg_proc as p join pg_language on pg_language.oid = prolang
    where pronamespace = 'pgqueue'::regnamespace order by 1
"""


def functions(root: psycopg.Connection) -> list[tuple[Any, ...]]:
    found = root.execute(FUNCTIONS.replace("'public'", "0::oid")).fetchall()
    assert len(found) >= 8
    return found


@pytest.mark.rule("S7")
def test_a_fresh_install_has_no_function_with_its_owner_s_rights(
    root: psycopg.Connection,
) -> None:
    assert [name for name, definer, *_ in functions(root) if definer] == []


@pytest.mark.rule("S6", "S7")
def test_no_function_follows_its_caller_s_search_path(root: psycopg.Connection) -> None:
    """Those in PL/pgSQL look names up when they run: pg_temp comes last, so that nothing of the
    session's own is found first. Those in SQL had theirs looked up when they were made. One has
    none, which is dear, and names all that it uses in full: see the next test."""
    for name, _, language, config, _ in functions(root):
        if name == BARE:
            assert config == []
            continue
        paths = [setting for setting in config if setting.startswith("search_path=")]
        wanted = {
            "plpgsql": ["search_path=pg_catalog, pg_temp"],
            "sql": ['search_path=""'],
        }
        assert paths == wanted[language], name
    row = root.execute(
        "select count(*) from pg_proc where pronamespace = 'pgqueue'::regnamespace"
        " and prosqlbody is null and prolang = (select oid from pg_language where lanname = 'sql')"
    ).fetchone()
    assert row == (0,)


@pytest.mark.rule("S6")
def test_the_one_without_a_search_path_names_all_in_full(root: psycopg.Connection) -> None:
    """Calls and types carry their schema, and there is no operator."""
    row = root.execute(
        "select prosrc from pg_proc where proname = 'enqueue_one'"
        " and pronamespace = 'pgqueue'::regnamespace"
    ).fetchone()
    assert row is not None
    body = re.sub(r"--[^\n]*", "", row[0])
    for call in re.findall(r"([\w.\"]+)\(", body):
        assert call.startswith(("pg_catalog.", '"pgqueue".')), call
    assert re.findall(r"(?:::\s*|new_id )([\w.]+)", body) == [
        "pg_catalog.int8",
        "pg_catalog.regclass",
    ]
    assert not re.search(r"[-+*/<>~@#%^&|`?]|(?<!:)=", body)


@pytest.mark.rule("S7")
def test_with_roles_only_the_doors_have_it_and_the_public_has_none(logins: Logins) -> None:
    found = functions(logins.root)
    assert {name for name, definer, *_ in found if definer} == DOORS
    assert [name for name, *_, public in found if public] == []


@pytest.mark.rule("S7")
def test_nothing_of_ours_is_a_trigger_a_rule_or_an_event_trigger(
    root: psycopg.Connection,
) -> None:
    assert root.execute("select count(*) from pg_event_trigger").fetchone() == (0,)
    assert root.execute("select count(*) from pg_trigger where not tgisinternal").fetchone() == (0,)
    assert root.execute(
        "select count(*) from pg_rewrite join pg_class on pg_class.oid = ev_class"
        " where relnamespace = 'pgqueue'::regnamespace and rulename <> '_RETURN'"
    ).fetchone() == (0,)
