"""A second migration, so that an upgrade can be tried before there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pgqueue.db import migrate
from pgqueue.db.migrate import Migration

__all__ = ["LATER", "later", "with_later"]

_SQL = """\
-- A step that a later version may have.
-- breaking: no
alter table :"schema".job add column later text not null default '100% new';

create table :"schema".limits (queue text primary key, most integer not null);

create function :"schema".most(queue text) returns integer
language plpgsql stable set search_path = pg_catalog, pg_temp
as $body$
begin
    return (select limits.most from :"schema".limits where limits.queue = $1);
end;
$body$;

insert into :"schema".limits select 'default', count(*) from :"schema".job;
"""


def later() -> Migration:
    """The one after those that there are."""
    return Migration(len(migrate.known()) + 1, "later", False, _SQL)


LATER = later()


@contextmanager
def with_later() -> Iterator[Migration]:
    """A pgqueue that has one migration more."""
    real = migrate.known()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "known", lambda: (*real, LATER))
        yield LATER
