"""Directories that will not do: each says why in our own error; links and strangers' files."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from tests.embedded.conftest import kill_keepers

from pgqueue.cli.root import cli
from pgqueue.embedded import cluster, join, leave, locks, postmaster
from pgqueue.embedded.account import current
from pgqueue.errors import EmbeddedError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
SOMEBODY = 4242


def version(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        return connection.info.server_version


# -- files that others may have put there


@pytest.mark.parametrize("name", ["start.lock", "users.lock", "keeper.lock", "server.log"])
def test_no_link_is_followed(directory: Path, name: str) -> None:
    target = directory.with_name("target")
    directory.mkdir()
    (directory / name).symlink_to(target)
    with pytest.raises(EmbeddedError, match=r"symbolic link; remove it.*" + name):
        join(directory)
    assert not target.exists()


@pytest.mark.parametrize("name", ["start.lock", "users.lock", "keeper.lock"])
def test_what_is_no_file_is_not_used(directory: Path, name: str) -> None:
    directory.mkdir()
    os.mkfifo(directory / name)
    with pytest.raises(EmbeddedError, match="no regular file; remove it"):
        join(directory)


@needs_root
@pytest.mark.parametrize("name", ["start.lock", "users.lock", "keeper.lock", "server.log"])
def test_a_file_of_somebody_else_is_not_used(directory: Path, name: str) -> None:
    directory.mkdir()
    (directory / name).touch()
    os.chown(directory / name, SOMEBODY, -1)
    with pytest.raises(EmbeddedError, match=rf"not a file of ours .*uid {SOMEBODY}; remove it"):
        join(directory)


def test_a_lock_is_made_for_us_alone(tmp_path: Path) -> None:
    fd = locks.open_lock(tmp_path / "lock")
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    os.close(fd)


@needs_root
@pytest.mark.parametrize("through_a_link", [False, True])
def test_data_of_somebody_else_are_not_served(directory: Path, through_a_link: bool) -> None:
    """A server of his on them would be given our jobs."""
    join(directory)
    leave(directory)
    kill_keepers(directory)
    (directory / "keeper.lock").unlink()
    data = directory / "data"
    if through_a_link:
        data.rename(directory / "moved")
        data.symlink_to(directory / "moved")
        os.chown(data, SOMEBODY, -1, follow_symlinks=False)
    else:
        os.chown(data, SOMEBODY, -1)
    with pytest.raises(EmbeddedError, match=f"data belongs to uid {SOMEBODY}, and the server"):
        join(directory)
    assert not (directory / "keeper.lock").exists()  # nothing was begun


# -- directories


def test_a_directory_that_is_a_file(directory: Path) -> None:
    directory.touch()
    for place in (directory, directory / "below"):
        with pytest.raises(EmbeddedError, match=f"cannot use {place} for a server: .*directory"):
            join(place)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("/proc/pgqueue/x", "cannot use /proc/pgqueue/x for a server: "),
        (f"/tmp/{'n' * 300}", r"\[Errno \d+\] File name too long"),
        ("/tmp/a\0b", "cannot find the directory .*null"),
        ("~nobody-of-that-name/x", "home directory that cannot be found"),
    ],
)
def test_a_directory_that_cannot_be(place: str, said: str) -> None:
    with pytest.raises(EmbeddedError, match=said):
        join(place)
    with pytest.raises(EmbeddedError, match=f"{said}|there is no PostgreSQL in"):
        join(place, create=False)


def test_the_current_directory_is_gone(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir()
    monkeypatch.chdir(directory)
    directory.rmdir()
    with pytest.raises(EmbeddedError, match=r"cannot find the directory 'x': .*No such file"):
        join("x")


def test_a_relative_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    assert version(join(directory.name)) == version(join(directory))
    leave(directory.name)
    leave(directory)


def test_a_directory_whose_name_is_not_utf_8(directory: Path) -> None:
    place = directory / os.fsdecode(b"caf\xe9")
    try:
        assert version(join(place))
        leave(place)
        server = postmaster.read(place / "data")
        assert server is None or not server.is_running
    finally:
        leave(place)
        kill_keepers(place)


def test_data_of_no_version(directory: Path) -> None:
    (directory / "data").mkdir(parents=True)
    (directory / "data/PG_VERSION").write_text("new\n")
    current().own(directory / "data")
    with pytest.raises(EmbeddedError, match=r"PG_VERSION should hold a version, .* holds 'new'"):
        join(directory)


def test_what_is_in_the_way_of_new_data(directory: Path) -> None:
    directory.mkdir()
    (directory / "data.draft").touch()
    with pytest.raises(EmbeddedError, match=r"cannot make a data directory in .*data\.draft"):
        join(directory)


# -- the machine


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(24, "EMFILE")])
def test_what_the_system_refuses(
    directory: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(cluster.subprocess, "run", refuse)
        with pytest.raises(EmbeddedError, match=str(error.strerror)):
            join(directory)
    assert version(join(directory))
    leave(directory)


def test_a_user_without_a_name(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> Any:
        raise KeyError(uid)

    with monkeypatch.context() as patch:
        patch.setattr(pwd, "getpwuid", nobody)
        with pytest.raises(EmbeddedError, match="has no entry in /etc/passwd"):
            join(directory)


# -- those who only look

LOOKING = [
    "status",
    "workers",
    "queues list",
    "queues pause mail",
    "jobs list",
    "jobs show 1",
    "jobs cancel 1",
    "jobs retry 1",
    "dead list",
    "dead show 1",
    "dead redrive --all",
    "dead purge --all",
    "migrate --check",
    "migrate --sql",
]


@pytest.mark.parametrize("line", LOOKING)
def test_a_command_that_looks_makes_nothing(tmp_path: Path, line: str) -> None:
    place = tmp_path / "typo"
    result = CliRunner().invoke(cli, [*line.split(), "--dsn", f"embedded:{place}"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"pgqueue: there is no PostgreSQL in {place}; pgqueue migrate makes one there\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_migrate_makes_it_and_then_it_can_be_looked_at(directory: Path) -> None:
    dsn = f"embedded:{directory}"
    for line in ("migrate", "status", "migrate --check"):
        result = CliRunner().invoke(cli, [*line.split(), "--dsn", dsn])
        assert result.exit_code == 0, (line, result.output)
    mistyped = f"embedded:{directory.with_name('pgs')}"
    result = CliRunner().invoke(cli, ["status", "--dsn", mistyped])
    assert result.exit_code == 1
    assert result.stderr.endswith('; did you mean "pg"?\n')
    assert not directory.with_name("pgs").exists()
