-- A page of dead letters, newest first.
-- $1 queue, $2 task, $3 a part of the reason; null: any. $4 below this id, $5 how many.
-- needs: the primary key of dead
-- locks: nothing
select id, 'dead' as state, queue, task, args, priority, :"schema".readable(run_at) as run_at,
       :"schema".readable(enqueued_at) as enqueued_at, :"schema".readable(claimed_at) as claimed_at,
       :"schema".readable(finished_at) as finished_at, attempt, max_attempts, crash_count,
       timeout_seconds, unique_key, tags, metadata, errors, worker_id,
       :"schema".readable(expires_at) as expires_at, reason, flow, flow_key, weight
from :"schema".dead
where ($1::text is null or queue = $1::text)
  and ($2::text is null or task = $2::text)
  and ($3::text is null or strpos(lower(reason), lower($3::text)) > 0)
  and id < $4::bigint
order by id desc
limit $5::bigint
