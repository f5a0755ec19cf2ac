-- What a worker holds in its queues, as far as the server knows. Reads only.
-- $1 worker ids, $2 queues, $3 their cursors (ten positions a queue, priority 0 first), $4 tasks,
-- $5 floor: below it nothing can be, $6 on the server that began then; on another one there is none.
-- A token that somebody deleted by hand is answered as 0, which release_jobs takes for it.
-- What lies behind the thirtieth ready job above a cursor is left out: a worker that has claimed nothing
-- for long may be some jobs behind the others, and what is further would not have had its turn yet.
-- needs: job_ready (two probes a queue and priority, and thirty rows of a backlog)
-- locks: nothing
with served as (
    select want.queue, p.priority::smallint as priority,
           ($3::bigint[])[(want.n - 1) * 10 + p.priority + 1] as cursor
    from unnest($2::text[]) with ordinality as want (queue, n)
         cross join generate_series(0, 9) as p (priority)
),
reach as (
    select served.queue, served.priority, coalesce(first.position, 9223372036854775807) as position
    from served
         left join lateral (
             select job.position
             from :"schema".job
             where job.queue = served.queue and job.priority = served.priority
               and job.position > served.cursor
               and job.worker_id is null and job.task = any ($4::text[])
             order by job.position
             offset 29
             limit 1
         ) as first on true
)
select held.id, coalesce(held.claim_token, 0) as claim_token, held.queue, held.position, held.task, held.attempt,
       held.flow
from reach
     cross join lateral (
         select job.id, job.claim_token, job.queue, job.position, job.task, job.attempt, job.flow
         from :"schema".job
         where job.queue = reach.queue and job.priority = reach.priority
           and job.position > case when pg_postmaster_start_time() = $6::timestamptz
                                   then $5::bigint else 0 end
           and job.position <= reach.position
           and job.worker_id = any ($1::bigint[])
         offset 0  -- or the planner may read the index from the floor on once for all queues
     ) as held
