-- A page of running jobs, newest first: among the first of each queue and priority, where claims take.
-- $1 queue, $2 task, $3 tag, $4 flow, $5 its key; null: any. $6 below this id, $7 how many, $8 how many of each
-- queue and priority to look at.
-- needs: job_ready (a probe for each queue, then one for each of its priorities)
-- locks: nothing
with recursive name (queue) as (
    (select queue from :"schema".job where position is not null order by queue limit 1)
    union all
    select (select job.queue from :"schema".job
            where job.position is not null and job.queue > name.queue
            order by job.queue limit 1)
    from name
    where name.queue is not null
)
select first.id, 'running' as state, first.queue, task, args, priority,
       :"schema".readable(run_at) as run_at, :"schema".readable(enqueued_at) as enqueued_at,
       :"schema".readable(claimed_at) as claimed_at, null::timestamptz as finished_at, attempt,
       max_attempts, crash_count, timeout_seconds, unique_key, tags, metadata, errors, worker_id,
       :"schema".readable(expires_at) as expires_at, null::text as reason, flow, flow_key, weight
from name
     cross join generate_series(0, 9) as p (number)
     cross join lateral (
         select *
         from :"schema".job
         where job.queue = name.queue and job.priority = p.number and job.position is not null
         order by job.position
         limit $8::bigint
     ) as first
where first.worker_id is not null
  and ($1::text is null or name.queue = $1::text)
  and ($2::text is null or first.task = $2::text)
  and ($3::text is null or first.tags @> array[$3::text])
  and ($4::text is null or first.flow = $4::text)
  and ($5::text is null or first.flow_key = $5::text)
  and first.id < $6::bigint
order by first.id desc
limit $7::bigint
