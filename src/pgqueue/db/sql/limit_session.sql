-- Bounds what an operator's transaction may cost, until it ends, and takes its search_path away: what
-- follows means ours, whatever the session's own path has before pg_catalog.
-- $1 milliseconds a statement may take, $2 whether a table may be read as a whole.
-- needs: nothing
-- locks: nothing
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('statement_timeout', $1, true),
       pg_catalog.set_config('enable_seqscan', $2, true),
       pg_catalog.set_config('plan_cache_mode', 'force_custom_plan', true),
       pg_catalog.set_config('jit', 'off', true)
