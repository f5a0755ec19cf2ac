"""What is shown of a dsn: never a password, however the dsn is written or mistyped."""

from __future__ import annotations

import pytest

from pgqueue.dsn import check_dsn, redact, redact_text, without_passwords
from pgqueue.errors import ConfigError


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:secret@h/d",
        "postgresql://u:secret@h:5432/d?sslmode=require",
        "postgresql://u:se%23cret@h/d",
        "postgresql://u:x#secret@h/d",
        "postgresql://u:x/secret@h/d",
        "postgresql://u:x?secret@h/d",
        "postgresql://u:x@secret@h/d",
        "postgresql://u:[secret@h/d",
        "postgresql://:secret@h/d",
        "postgresql://u:secret@[::1]:5432/d",
        "POSTGRESQL://u:secret@h/d",
        "postgresql://h/d?user=u&password=secret",
        "postgresql://h/d?user=u&password=a secret",
        "postgresql://h/d?password=secret&application_name=x",
        "postgresql://h/d?sslpassword=secret",
        "host=h password=secret user=u",
        "host=h password = secret user=u",
        "host=h password='a secret' user=u",
        "host=h password=a&secret user=u",
        r"host=h password='a \' secret' user=u",
        r"host=h password=a\ secret user=u",
        "host=h password='secret user=u",
        "host=h sslpassword=secret",
        "host=h sslpassword=my secret user=x",
        "host=h password=my secret pw user=x",
        "host=h password=my secret",
        "host=h password='a'b secret' user=x",
        "host=h password='a'b user=secret'",
        "host=h password='a user=secret' user=x",
        r"host=h password='a\' user=secret' user=x",
        "postgresql://h:5432/d?user=u&password=x@secret",
        "postgresql://h:5432/d?user=u&sslpassword=x@secret",
        "postgresql://h:port/d?user=u&password=x@secret",
        "postgresql://h:5432/d?password=x&y@secret&user=u",
        "postgresql://u:5/secret@h/d",
        "postgresql://u:x@secret/y@h/d",
        "postgresql://u:secret",
        "postgresql://u:secret/d",
        "postgresql://u:x/secret?user=u",
        "postgresql://u:5secret,h:5/d",
        "u:secret/d",
        "mysql://u:secret/d",
        "u:secret@h/d",
        "u:secret@h/d?sslmode=require",
        "postgresql:/u:secret@h/d",
        " postgresql://u:secret@h/d",
        "dbname=postgresql://u:secret@h/d",
        "PGQUEUE_DSN=postgresql://u:secret@h/d",
    ],
)
def test_a_password_is_never_shown(dsn: str) -> None:
    shown = redact(dsn)
    assert "secret" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "dsn", ["postgresql://u:secret", "postgresql://u:secret/d", "u:secret@h/d", "u:secret@h/d?a=b"]
)
def test_a_dsn_that_is_refused_does_not_show_a_password(dsn: str) -> None:
    with pytest.raises(ConfigError, match=r"u:\*\*\*") as caught:
        check_dsn(dsn)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "dsn", ["postgresql://u:a%20b@h/d", "postgresql://u@h/d?password=a%20b", "password='a b'"]
)
def test_a_text_of_a_driver_does_not_quote_the_password(dsn: str) -> None:
    assert without_passwords("it says a b", dsn) == "it says ***"


def test_a_text_of_a_driver_keeps_what_only_stands_before_an_at_sign() -> None:
    assert without_passwords("no d here", "postgresql://h/x?application_name=a:d@b") == "no d here"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://h/d",
        "postgresql://u@h/d",
        "postgresql://u@h:port/d",
        "postgresql://h:5432,i/d?user=a@b",
        "postgresql://[::1]:5432/d?x",
        "h:5432/d",
        "embedded:x",
        "embedded:/a@b:c",
        "host=h user=a@b",
        "",
    ],
)
def test_a_dsn_without_a_password_is_shown_as_it_is(dsn: str) -> None:
    assert redact(dsn) == dsn


DIGITS = "1234567"


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{DIGITS}",
        f"postgresql://u:{DIGITS}/d",
        f"postgres://u:{DIGITS}?sslmode=disable",
        f"postgresql://u:{DIGITS},h:5432/d",
        "postgresql://u:99999/d",
        "postgresql://u:0123/d",
        f"postgresql://:{DIGITS}@",
        f"postgresql://:{DIGITS}@/d",
        f"postgresql://u:{DIGITS}@",
        f"postgresql://u:{DIGITS}@h:5432/d",
        f"u:{DIGITS}@h/d",
        f"postgresql:/u:{DIGITS}@h/d",
        f"postgresql://u@h/d?password={DIGITS}",
        f"host=h password={DIGITS} port=5432",
    ],
)
def test_a_password_of_digits_is_not_shown_as_a_port(dsn: str) -> None:
    """Where no port can be that large, or none begins with 0. Others are ports, as for libpq."""
    said = redact(dsn)
    try:
        check_dsn(dsn)
    except ConfigError as refused:
        said += str(refused)
    said += redact_text(f'no command "{dsn}"; see --help')
    for secret in (DIGITS, "99999", "0123"):
        assert secret not in said
    assert "***" in said


@pytest.mark.parametrize("port", [1, 5432, 12345, 65535])
def test_a_port_is_shown(port: int) -> None:
    dsn = f"postgresql://h:{port}/d"
    assert redact(dsn) == check_dsn(dsn) == dsn


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at postgresql://u:secret@h/d: it is away", "at postgresql://u:***@h/d: it is away"),
        ("(postgresql://u:secret@h)", "(postgresql://u:***@h)"),
        ('no command "postgresql://u:secret@h"', 'no command "postgresql://u:***@h"'),
        ("no postgresql://u:secret, there", "no postgresql://u:***, there"),
        ("postgresql://h/d?password=secret&user=u it", "postgresql://h/d?password=***&user=u it"),
        ("host=h password=secret user=u, no", "host=h password=*** user=u, no"),
        ("host=h password='my secret' user=u", "host=h password=*** user=u"),
        ("dsn=postgresql://u:secret@h/d is", "dsn=postgresql://u:***@h/d is"),
        ("u:secret@h is", "u:***@h is"),
        ("at postgresql://h:5432: refused", "at postgresql://h:5432: refused"),
        ("at postgresql://u:***@h/d: x", "at postgresql://u:***@h/d: x"),
        ('task "a:b" of me@h: no', 'task "a:b" of me@h: no'),
    ],
)
def test_a_text_is_shown_without_the_passwords_in_it(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_a_text_is_shown_without_the_password_of_a_dsn_that_is_known() -> None:
    dsn = "host=h password=my secret"
    assert redact_text(f"no {dsn} is known", dsn) == "no host=h password=*** is known"
