"""Dsns: how they are read, and what is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue.dsn import check_dsn, find_password, parse, read_services
from pgqueue.dsn.text import to_uri
from pgqueue.errors import ConfigError


@pytest.mark.parametrize(
    ("given_dsn", "used"),
    [
        ("postgresql://h/d", "postgresql://h/d"),
        (" postgres://h/d\n", "postgres://h/d"),
        ("postgresql+asyncpg://u@h/d", "postgresql://u@h/d"),
        ("POSTGRESQL://u@h/D", "postgresql://u@h/D"),
        ("host=h port=5 dbname=d user=u", "postgresql://u@h:5/d"),
        ("dbname = 'a b' host=/tmp", "postgresql:///a%20b?host=/tmp"),
        ("host=h user=u password=x://y", "postgresql://u:x%3A%2F%2Fy@h"),
        ("user=u password='postgres://x' host=h", "postgresql://u:postgres%3A%2F%2Fx@h"),
        ("embedded:./data", "embedded:./data"),
    ],
)
def test_dsns_that_are_understood(given_dsn: str, used: str) -> None:
    assert check_dsn(given_dsn) == used


@pytest.mark.parametrize("dsn", [None, "", "  ", 5, "mysql://u:secret@h/d", "shop", "sqlite:///x"])
def test_dsns_that_are_not(dsn: object) -> None:
    with pytest.raises(ConfigError, match="postgresql://") as caught:
        check_dsn(dsn)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p@h:1,h2/d?sslmode=require",
        "postgresql://u:p%40%2F@%2Ftmp:6/d",
        "postgresql://[::1]:5/d",
        "postgresql:///d?host=/tmp&port=6",
        "postgresql://h/d?user=a+b",
        "postgresql://@h",
        "postgresql://u:@h/",
        "postgresql://h/d?",
        "postgresql://h/d/e",
        "postgresql://u:p@h:5/a@b",
        "postgresql://h/a/b@c",
        "postgresql://h?host=x",
        "postgresql://h/d?options=-c%20search_path%3Dx",
        r"host='a b' port=5 password=a\ b",
        r"host=h password='it\'s \\' user = u",
        "host=a'b",
        "host=h,i port=1,2",
    ],
)
def test_a_dsn_is_read_as_libpq_reads_it(dsn: str) -> None:
    assert parse(dsn) == {k: v for k, v in conninfo_to_dict(dsn).items() if v}


@pytest.mark.parametrize("name", ["search_path", "statement_timeout", "lock_timeout", "ext.x"])
def test_the_advice_for_a_setting_of_the_server_can_be_followed(name: str) -> None:
    with pytest.raises(ConfigError, match=f'unknown dsn parameter "{name}"') as caught:
        check_dsn(f"postgresql://h/d?{name}=x")
    assert "did you mean" not in str(caught.value)
    advised = re.search(r"(options=\S+) in a URI, and (options='.*') in", str(caught.value))
    assert advised
    for dsn in (f"postgresql://h/d?{advised[1]}", f"host=h dbname=d {advised[2]}"):
        assert parse(check_dsn(dsn))["options"] == f"-c {name}=VALUE"


VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("user", "password", "dbname"), VALUES)))
def test_any_value_survives_in_both_forms(parameters: dict[str, str]) -> None:
    pairs = make_conninfo("host=h", **parameters)
    assert parse(pairs) == {"host": "h", **parameters}
    uri = check_dsn(pairs)
    assert parse(uri) == conninfo_to_dict(uri) == parse(pairs)


def test_a_uri_of_anything_is_read_back() -> None:
    parameters = {"password": "a:b@c/d?e&f=g", "host": "/a b,h", "port": "5,6", "dbname": "x#y"}
    assert parse(to_uri(parameters)) == parameters
    assert parse(to_uri({"user": "u"} | parameters)) == {"user": "u"} | parameters


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:x/secret@h/d",
        "postgresql://me:x@secret@h/d",
        "postgresql://me:12/secret@h/d",
        "postgresql://me:secret%@h/d",
        "postgresql://me:secret@h:port/d",
        "postgresql://me:secret@h/d?x",
        "host=h password='secret",
        "host=h password=secret user",
    ],
)
def test_what_cannot_be_taken_apart_is_refused_at_once(dsn: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be taken apart; .*write") as caught:
        check_dsn(dsn)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        "channel_binding=prefer",
        "connect_timeout=10",
        "keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3",
        "tcp_user_timeout=5000",
        "gssencmode=disable",
        "sslmode=verify-full&sslrootcert=system",
        "target_session_attrs=read-write",
        "application_name=shop&fallback_application_name=x",
        "client_encoding=utf8",
        "load_balance_hosts=random",
        "options=-c%20work_mem%3D64MB",
        "service=shop&passfile=/p",
        "ssl=true",
    ],
)
def test_parameters_of_libpq_are_understood(more: str) -> None:
    assert check_dsn(f"postgresql://h/d?{more}")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("channel_binding=require", "channel_binding must be disable or prefer, .*verify-full"),
        ("gssencmode=require", "gssencmode must be disable or prefer"),
        ("sslmode=verify-ful", 'got "verify-ful"; did you mean "verify-full"'),
        ("target_session_attrs=rw", "target_session_attrs must be any, read-write"),
        ("connect_timeout=soon", 'connect_timeout must be a whole number, got "soon"'),
        ("require_auth=password", "require_auth is not supported: .*pg_hba.conf"),
        ("requirepeer=postgres", "requirepeer is not supported"),
        ("sslcrldir=/x", "use sslcrl=FILE"),
        ("replication=database", "replication must be"),
        ("client_encoding=latin1", "client_encoding must be UTF8"),
        ("hostaddr=db.example", "hostaddr must be an IP address.*goes into host"),
        ("port=70000", 'port must be from 1 to 65535, got "70000"'),
        ("sslmod=require", 'unknown dsn parameter "sslmod"; did you mean "sslmode"'),
        ("usr=x", 'unknown dsn parameter "usr"; did you mean "user"'),
        ("username=x", "use user=NAME"),
        ("pgbouncer=true", "pgbouncer=True"),
        ("schema=jobs", "App\\(dsn, schema="),
        ("ssl=no-verify", "use sslmode=require"),
        ("host=a,b,c&port=1,2", "3 hosts and 2 ports"),
    ],
)
def test_what_asyncpg_cannot_do_is_refused_by_name(more: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_dsn(f"postgresql://h/d?{more}")


@pytest.mark.parametrize(
    ("line", "password"),
    [
        (r"*:*:*:u:a\:b", "a:b"),
        (r"*:*:*:u:a\\b", r"a\b"),
        (r"*:*:*:u:a\\\:b:c", r"a\:b:c"),
        ("h:5432:d:u:secret \r", "secret "),
        (r"h:5432:d\:x:u:no", None),
        ("h:5433:*:*:no", None),
        ("other:*:*:*:no", None),
        ("#h:5432:d:u:no", None),
        ("h:5432:d", None),
        ("", None),
    ],
)
def test_a_line_of_the_password_file(line: str, password: str | None) -> None:
    found = find_password([line], hosts=("h",), port="5432", database="d", user="u")
    assert found == password


def test_the_first_line_that_fits_counts_and_a_socket_is_also_localhost() -> None:
    lines = ["h:*:*:*:one", "localhost:*:*:*:two", r"*:*:d\:e:u:three"]
    place = {"port": "1", "database": "d:e", "user": "u"}
    assert find_password(lines, hosts=("/tmp", "localhost"), **place) == "two"
    assert find_password(lines, hosts=("x",), **place) == "three"


def test_a_service_file() -> None:
    text = (
        "# ours\n[shop]\n host = h \nport=5\nport=6\npassword=a b=c\n\n[shop]\nhost=x\n[b]\nhost=y"
    )
    assert read_services(text.splitlines(), "f", "shop") == {
        "shop": {"host": "h", "port": "5", "password": "a b=c"},
        "b": {"host": "y"},
    }


@pytest.mark.parametrize("wrong", ["secret", "service=b"])
@pytest.mark.parametrize(
    "text", ["{}\n[a]\nhost=h", "[b]\n{}\n[a]\nhost=h", "[a]\nhost=h\n[a]\n{}"]
)
def test_a_service_is_found_whatever_is_wrong_elsewhere(text: str, wrong: str) -> None:
    services = read_services(text.format(wrong).splitlines(), "f", "a")
    assert services["a"] == {"host": "h"}


@pytest.mark.parametrize("text", ["[a]\nsecret", "[a]\nservice=b", "[b]\nx\n[a]\nhost=h\nsecret"])
def test_a_service_file_that_is_wrong_names_the_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"line \d of f") as caught:
        read_services(text.splitlines(), "f", "a")
    assert "secret" not in str(caught.value)
