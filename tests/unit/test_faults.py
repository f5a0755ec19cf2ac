"""Errors of the system and of the driver, as users read them."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from pgqueue.db.faults import as_ours
from pgqueue.errors import Unreachable

DSN = "postgresql://user:secret@host/name"


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_no_descriptor_left_names_the_limit() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    ours = as_ours(system_error(errno.EMFILE), DSN, connecting=True)
    assert isinstance(ours, Unreachable)
    assert f"no file descriptors left (limit {limit})" in str(ours)
    assert "ulimit -n" in str(ours)
    assert "secret" not in str(ours)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENFILE, "this machine has no file descriptors left"), (errno.EACCES, "denied")],
)
def test_other_errors_of_the_system_say_what_they_are(number: int, said: str) -> None:
    assert said in str(as_ours(system_error(number), DSN, connecting=True))
