-- Notes that a worker is about to be killed, and what it holds.
-- $1 worker, $2 pid. Answers how many jobs it holds, and how many of those it has started.
-- The poison is left out: it fails by itself and may be released before the worker is dead.
-- locks: nothing
with kill as (
    insert into pgqueue_demo.killed (worker_id, pid, killed_at)
    values ($1, $2, clock_timestamp())
),
held as (
    insert into pgqueue_demo.held (job_id, started)
    select job.id,
           exists (select
                   from pgqueue_demo.attempt
                   where attempt.job_id = job.id
                     and attempt.attempt = job.attempt
                     and attempt.pid = $2)
    from pgqueue_demo_queue.job
         join pgqueue_demo.file on file.id = (job.args ->> 'file_id')::bigint
    where job.worker_id = $1
      and not file.poison
    returning started
)
select count(*) as held, count(*) filter (where started) as started
from held
