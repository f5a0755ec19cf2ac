-- Gives the look at the schema's version its time, until the transaction ends: a role whose timeouts are
-- a few milliseconds may find the server busy or a migration on its way, and that is no reason to end.
-- $1 milliseconds a statement may take.
-- needs: nothing
-- locks: nothing
select pg_catalog.set_config('statement_timeout', $1, true),
       pg_catalog.set_config('lock_timeout', '0', true)
