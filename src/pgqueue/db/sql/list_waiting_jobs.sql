-- A page of jobs that wait, newest first.
-- $1 state: pending, scheduled or blocked. $2 queue, $3 task, $4 tag, $5 flow, $6 its key; null: any. $7 below
-- this id, $8 how many.
-- needs: the primary key of job, or job_ready or job_scheduled where such jobs are few
-- locks: nothing
select id, $1::text as state, queue, task, args, priority, :"schema".readable(run_at) as run_at,
       :"schema".readable(enqueued_at) as enqueued_at, :"schema".readable(claimed_at) as claimed_at,
       null::timestamptz as finished_at, attempt, max_attempts, crash_count, timeout_seconds,
       unique_key, tags, metadata, errors, worker_id,
       :"schema".readable(expires_at) as expires_at, null::text as reason, flow, flow_key, weight
from :"schema".job
where ($1::text = 'pending' and position is not null and worker_id is null
       or $1::text = 'scheduled' and position is null and run_at < 'infinity'
       or $1::text = 'blocked' and position is null and run_at = 'infinity')
  and ($2::text is null or queue = $2::text)
  and ($3::text is null or task = $3::text)
  and ($4::text is null or tags @> array[$4::text])
  and ($5::text is null or flow = $5::text)
  and ($6::text is null or flow_key = $6::text)
  and id < $7::bigint
order by id desc
limit $8::bigint
