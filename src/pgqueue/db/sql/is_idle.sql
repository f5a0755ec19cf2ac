-- Whether nothing is to do in these queues: no job of theirs runs, whoever runs it, and none is ready
-- or due whose task this worker knows. What is due later, or is ready in a paused queue, does not count.
-- It is one look at one moment: what a job enqueues is there before the job is over. Nor is it idle while
-- there are tickets of flows, or a job of theirs is in line whose turn it is.
-- $1 queues, $2 tasks the worker knows.
-- needs: job_ready (walked from each queue's head to the first such job), job_scheduled; line_turn and job_line
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
           where due.task = any ($2::text[]))
       and not exists (select from :"schema".ticket)
       and not exists (
           select
           from :"schema".flow
                join :"schema".line on line.flow = flow.name and line.turn <= statement_timestamp()
                cross join lateral (
                    select job.queue, job.task
                    from :"schema".job
                    where job.flow = line.flow and job.flow_key = line.key and job.rank > line.head
                      and job.flow is not null and job.position is null and job.rank > 0
                    order by job.rank
                    limit 1
                ) as next
                join served on served.queue = next.queue and not served.paused
           where flow.paused_at is null and coalesce(flow.held_until <= statement_timestamp(), true)
             and next.task = any ($2::text[])) as idle
