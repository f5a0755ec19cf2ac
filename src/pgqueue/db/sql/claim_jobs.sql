-- Takes ready jobs for one worker: for each queue up to its quota, priorities in order, oldest first.
-- $1 queues, $2 their quotas, $3 their cursors (ten positions a queue, priority 0 first), $4 tasks,
-- $5 how many in all, $6 worker, $7 token of this claim.
-- needs: job_ready (one probe a queue and priority), job by ctid
-- locks: the rows it takes, and no others, in the order of position; skips what others hold
with picked as (
    select ready.row_id
    from unnest($1::text[], $2::integer[]) with ordinality as want (queue, quota, n)
         left join :"schema".queue as lane on lane.name = want.queue and lane.paused_at is not null
         cross join lateral (
             select first.row_id
             from generate_series(0, 9) as p (priority)
                  cross join lateral (
                      select job.ctid as row_id
                      from :"schema".job
                      where job.queue = want.queue
                        and job.priority = p.priority
                        and job.position > ($3::bigint[])[(want.n - 1) * 10 + p.priority + 1]
                        and job.worker_id is null
                        and job.task = any ($4::text[])
                      order by job.position
                      limit want.quota
                      for update skip locked
                  ) as first
             limit case when lane.name is null then want.quota else 0 end
         ) as ready
    limit $5::integer
)
update :"schema".job
set worker_id = $6::bigint,
    claim_token = $7::bigint,
    claimed_at = statement_timestamp(),
    attempt = attempt + 1
from picked
where job.ctid = picked.row_id
returning job.id, job.position, job.queue, job.priority, job.task, job.args, job.attempt,
          job.max_attempts, job.crash_count, job.timeout_seconds, job.enqueued_at, job.tags,
          job.metadata, job.cancel_requested
