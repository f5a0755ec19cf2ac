-- Whether nothing is to do in these queues: no job of theirs runs, whoever runs it, and none is ready
-- or due whose task this worker knows. What is due later, or is ready in a paused queue, does not count.
-- It is one look at one moment: what a job enqueues is there before the job is over.
-- $1 queues, $2 tasks the worker knows.
-- needs: job_ready (walked from each queue's head to the first such job), job_scheduled
-- locks: nothing
with served as materialized (
    select want.queue, coalesce(known.paused_at is not null, false) as paused
    from unnest($1::text[]) as want (queue)
         left join :"schema".queue as known on known.name = want.queue
)
select not exists (
           select
           from served
                cross join lateral (
                    select job.id
                    from :"schema".job
                    where job.queue = served.queue and job.position is not null
                      and (job.worker_id is not null
                           or not served.paused and job.task = any ($2::text[]))
                    order by job.queue, job.priority, job.position
                    limit 1
                ) as first)
       and not exists (
           select
           from (
               select job.queue, job.task
               from :"schema".job
               where job.position is null and job.run_at <= statement_timestamp()
               order by job.run_at, job.id
           ) as due
                join served on served.queue = due.queue and not served.paused
           where due.task = any ($2::text[])) as idle
