-- Fails, so that a transaction that cannot hold all jobs of a call holds none of them.
-- $1 an array of documents, as in find_full.
-- needs: what find_full needs
-- locks: nothing
select :"schema".refuse_full(cast(cast($1 as pg_catalog.text) as pg_catalog.jsonb))
