-- One job, wherever it is.
-- $1 job id.
-- needs: the primary keys of job and dead, history_id
-- locks: nothing
select id, state, queue, task, args, priority, run_at, enqueued_at, claimed_at, finished_at,
       attempt, max_attempts, crash_count, timeout_seconds, unique_key, tags, metadata, errors,
       worker_id, reason
from :"schema".jobs
where id = $1::bigint
order by finished_at desc nulls first
limit 1
