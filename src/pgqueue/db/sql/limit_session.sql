-- Bounds what an operator's transaction may cost, until it ends.
-- $1 milliseconds a statement may take, $2 whether a table may be read as a whole.
-- needs: nothing
-- locks: nothing
select set_config('statement_timeout', $1::text, true),
       set_config('enable_seqscan', $2::text, true),
       set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('jit', 'off', true)
