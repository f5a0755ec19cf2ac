-- Of each queue: how many live workers serve it, and which tasks at its head none of these knows.
-- A live worker does not stop, and its lease is not over. One that names no tasks may know any.
-- $1 queues.
-- Answers queue, workers, and unknown: the ready jobs seen, by task; null if there is none.
-- needs: job_ready (the first thousand rows of each queue)
-- locks: nothing
with live as materialized (
    select kind, queues, tasks
    from :"schema".worker
    where not stopping and heartbeat_at > clock_timestamp() - make_interval(secs => lease_seconds)
),
kinds as materialized (
    select kind, min(queues) as queues, min(tasks) as tasks from live group by kind
)
select want.queue,
       (select count(*) from live where want.queue = any (live.queues)) as workers,
       (select jsonb_object_agg(strange.task, strange.jobs)
        from (
            select head.task, count(*) as jobs
            from (
                select job.task, job.worker_id
                from :"schema".job
                where job.queue = want.queue and job.position is not null
                order by job.queue, job.priority, job.position
                limit 1000
            ) as head
            where head.worker_id is null
              and exists (select from kinds where want.queue = any (kinds.queues))
              and not exists (select from kinds
                              where want.queue = any (kinds.queues)
                                and (kinds.tasks = '{}' or head.task = any (kinds.tasks)))
            group by head.task
        ) as strange) as unknown
from unnest($1::text[]) as want (queue)
