"""A process whose uid has no entry in the system's accounts, as containers have them."""

from __future__ import annotations

import asyncio
import os
import pwd
from typing import NoReturn

import pytest

from pgqueue import App, ConfigError, EmbeddedError, Unreachable


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME", "PGUSER"):
        monkeypatch.delenv(name, raising=False)


def test_a_dsn_without_a_user_is_told_that_there_is_none() -> None:
    app = App("postgresql://127.0.0.1:1/x")
    said = rf"names no user, and the user id {os.getuid()} of this process has no name"
    with pytest.raises(ConfigError, match=said):
        app.status()
    with pytest.raises(ConfigError, match=said):
        asyncio.run(app.astatus())


def test_a_dsn_with_one_does_not_need_an_account() -> None:
    with pytest.raises(Unreachable, match="Connect call failed"):
        App("postgresql://u@127.0.0.1:1/x").status()


@pytest.mark.parametrize("directory", ["~/data", "~nobody-of-that-name/data"])
def test_a_home_directory_that_cannot_be_found(directory: str) -> None:
    with pytest.raises(EmbeddedError, match="home directory that cannot be found"):
        App(f"embedded:{directory}").status()
