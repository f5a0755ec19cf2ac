-- Live jobs that fit and were not asked to stop, in no order.
-- $1 state: pending, scheduled, blocked or running, $2 queue, $3 task, $4 tag, $5 flow,
-- $6 its key; null: any. $7 how many.
-- needs: job_ready or job_scheduled where they help; else it reads job until it has enough
-- locks: nothing
select id
from :"schema".job
where not cancel_requested
  and ($1::text is null
       or $1::text = 'pending' and position is not null and worker_id is null
       or $1::text = 'running' and position is not null and worker_id is not null
       or $1::text = 'scheduled' and position is null and run_at < 'infinity'
       or $1::text = 'blocked' and position is null and run_at = 'infinity')
  and ($2::text is null or queue = $2::text)
  and ($3::text is null or task = $3::text)
  and ($4::text is null or tags @> array[$4::text])
  and ($5::text is null or flow = $5::text)
  and ($6::text is null or flow_key = $6::text)
limit $7::bigint
