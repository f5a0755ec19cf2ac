"""Each fault alone, against a small arena: it takes effect as others see it, and it heals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from chaos.arenas import Ground
from tests.chaos.small import SETTINGS, SmallArena, small_arena
from tests.harness import servers
from tests.harness.servers import own_server


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallArena]:
    majors = [major for major in servers.chosen() if major is not None]
    if not majors:
        servers.missing("a server of somebody else's is not ours to break")
    with (
        own_server(max(majors), settings=SETTINGS) as server,
        small_arena(Ground(server), tmp_path_factory.mktemp("arena")) as arena,
    ):
        yield arena


@pytest.fixture
async def arena(made: SmallArena) -> AsyncIterator[SmallArena]:
    await made.is_well()
    yield made
    await made.is_well()
