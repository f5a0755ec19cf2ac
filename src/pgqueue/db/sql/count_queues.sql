-- What every queue holds, counted up to a bound: the cost does not grow with the backlog.
-- $1 how many to look at of each queue and priority, of all scheduled jobs, and of all blocked ones.
-- Answers for each queue: ready and running, cut (there may be more), age of the oldest ready one in
-- seconds, scheduled and blocked, and cut_scheduled and cut_blocked.
-- needs: job_ready (two probes for each queue and priority that holds jobs), job_scheduled
-- locks: nothing
with recursive front (queue, priority) as (
    (select queue::text, priority::smallint
     from :"schema".job
     where position is not null
     order by queue, priority
     limit 1)
    union all
    select next.queue, next.priority
    from front
         cross join lateral (
             select job.queue::text, job.priority::smallint
             from :"schema".job
             where job.position is not null
               and (job.queue, job.priority) > (front.queue, front.priority)
             order by job.queue, job.priority
             limit 1
         ) as next
),
head as (
    select front.queue,
           sum(part.ready)::bigint as ready,
           sum(part.running)::bigint as running,
           bool_or(part.seen > $1::bigint) as cut,
           min(part.oldest) as oldest
    from front
         cross join lateral (
             select count(*) as seen,
                    count(*) filter (where first.worker_id is null) as ready,
                    count(first.worker_id) as running,
                    min(first.run_at) filter (where first.worker_id is null) as oldest
             from (
                 select job.worker_id, job.run_at
                 from :"schema".job
                 where job.queue = front.queue
                   and job.priority = front.priority
                   and job.position is not null
                 order by job.position
                 limit $1::bigint + 1
             ) as first
         ) as part
    group by front.queue
),
soonest as materialized (
    select queue
    from :"schema".job
    where position is null and run_at < 'infinity'
    order by run_at, id
    limit $1::bigint + 1
),
scheduled as (
    select queue, count(*) as jobs from soonest group by queue
),
lined as materialized (
    select queue
    from :"schema".job
    where position is null and run_at = 'infinity'
    order by run_at, id
    limit $1::bigint + 1
),
blocked as (
    select queue, count(*) as jobs from lined group by queue
),
known as (
    select queue from head
    union
    select name from :"schema".queue
    union
    select queue from scheduled
    union
    select queue from blocked
)
select known.queue, served.paused_at, coalesce(served.waiting, false) as waiting,
       coalesce(head.ready, 0) as ready, coalesce(head.running, 0) as running,
       coalesce(head.cut, false) as cut,
       case when head.oldest is not null
            then greatest(extract(epoch from clock_timestamp() - :"schema".readable(head.oldest)), 0)::float8
       end as oldest_seconds,
       coalesce(scheduled.jobs, 0) as scheduled,
       (select count(*) > $1::bigint from soonest) as cut_scheduled,
       coalesce(blocked.jobs, 0) as blocked,
       (select count(*) > $1::bigint from lined) as cut_blocked
from known
     left join :"schema".queue as served on served.name = known.queue
     left join head on head.queue = known.queue
     left join scheduled on scheduled.queue = known.queue
     left join blocked on blocked.queue = known.queue
order by known.queue
