-- One job, wherever it is.
-- $1 job id.
-- needs: the primary keys of job and dead, history_id
-- locks: nothing
select id, state, queue, task, args, priority, :"schema".readable(run_at) as run_at,
       :"schema".readable(enqueued_at) as enqueued_at, :"schema".readable(claimed_at) as claimed_at,
       :"schema".readable(finished_at) as finished_at, attempt, max_attempts, crash_count,
       timeout_seconds, unique_key, tags, metadata, errors, worker_id,
       :"schema".readable(expires_at) as expires_at, reason, flow, flow_key, weight
from :"schema".jobs
where id = $1::bigint
order by finished_at desc nulls first
limit 1
