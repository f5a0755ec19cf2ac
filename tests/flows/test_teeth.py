"""The rules find defects: each is put into admit(), and some of the first seeds must fail."""

from __future__ import annotations

import pytest
from tests.flows.play import played

DEFECTS = {
    "a key has a slot too many": (
        "- coalesce(u.n, 0)) end as key_room",
        "- coalesce(u.n, 0)) + 1 end as key_room",
    ),
    "a key that is alone has a slot too many": (
        "unlimited) - used.of_key)",
        "unlimited) - used.of_key + 1)",
    ),
    "a key that is alone loses the first job that is left": (
        "coalesce(line.ranks[line.n], state.above)",
        "line.ranks[line.n + 1]",
    ),
    "a flow does not count what runs": ("unlimited) - level.n,", "unlimited) - level.ready,"),
    "an urgent job does not lower the head": (
        "coalesce(least(l.head, a.rank - 1), 0), l.head",
        "coalesce(l.head, a.rank - 1), l.head",
    ),
    "a line at its limit never looks again": (
        "else l.turn > moment or a.rank <= l.head",
        "else l.turn > moment and l.turn < 'infinity' or a.rank <= l.head",
    ),
    "a line at its limit is forgotten": (
        "where stays\n    ),",
        "where stays and n >= 0 and key_room > n\n    ),",
    ),
    "what is locked is lost": ("when v.n = p.n_chosen", "when v.n > 0"),
    "order is not kept": ("and not (f.ordered and p.place > 1)\n", "\n"),
    "a rate counts half": (
        "make_interval(secs => spent / f.rate)",
        "make_interval(secs => spent / (2 * f.rate))",
    ),
    "a rate of a key is not paid": ("when v.n > 0 or s.charged is not null", "when s.charged > 0"),
    "the floor is too high": (
        "and j.position > position_floor",
        "and j.position > position_floor + 2",
    ),
}
SEEDS = range(1000, 1030)


@pytest.mark.one_pg
@pytest.mark.parametrize("name", DEFECTS)
async def test_the_rules_find(dsn: str, name: str) -> None:
    for seed in SEEDS:
        try:
            await played(dsn, seed, 200, DEFECTS[name])
        except AssertionError:
            return
    pytest.fail(f"no seed shows that {name}")
