-- The newest jobs that wait or run, each as one JSON document: arguments, metadata and errors are texts
-- in it. The newest come first.
-- $1 above this id, $2 how many.
-- needs: the primary key of job
-- locks: nothing
select row_to_json(live)::text
from (
    select id, state, queue, task, args::text as args, priority,
           :"schema".readable(run_at) as run_at, :"schema".readable(enqueued_at) as enqueued_at,
           :"schema".readable(claimed_at) as claimed_at, finished_at, attempt, max_attempts,
           crash_count, timeout_seconds, unique_key, tags, metadata::text as metadata,
           errors::text as errors, worker_id,
           :"schema".readable(expires_at) as expires_at, reason, flow, flow_key, weight
    from :"schema".jobs
    where id > $1::bigint and finished_at is null
    order by id desc
    limit $2::bigint
) as live
