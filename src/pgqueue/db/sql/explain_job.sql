-- What keeps a live job from running: when it is due, who could run it, and what comes before it.
-- $1 job id, $2 how many jobs before it to count.
-- Answers no row for a job that is over. free: workers with a free slot, among those that know its task.
-- concurrency: the limit of its queue, of which so many permits are held; token_in: seconds until its rate lets
-- the next job begin.
-- needs: the primary keys of job, queue and worker; permit has few rows of a queue;
-- queue_tokens_tat; job_ready (one probe a priority), $2 entries of it at most
-- locks: nothing
select case when job.worker_id is not null then 'running'
            when job.position is not null then 'pending'
            when job.run_at = 'infinity' then 'blocked'
            else 'scheduled' end as state,
       job.queue, job.task, job.attempt, job.max_attempts, job.cancel_requested,
       case when job.run_at < 'infinity'
            then extract(epoch from job.run_at - clock_timestamp())::float8 end as due_in,
       coalesce(job.expires_at <= clock_timestamp(), false) as expired,
       :"schema".readable(queue.paused_at) as paused_at,
       (select count(*)
        from (
            select
            from generate_series(0, job.priority) as p (priority)
                 cross join lateral (
                     select
                     from :"schema".job as earlier
                     where job.position is not null
                       and earlier.queue = job.queue
                       and earlier.priority = p.priority
                       and earlier.position < case when p.priority = job.priority then job.position
                                                   else 9223372036854775807 end
                       and earlier.worker_id is null
                     order by earlier.position
                     limit $2::integer
                 ) as probe
            limit $2::integer
        ) as before) as ahead,
       fleet.live, fleet.serving, fleet.knowing, fleet.free,
       (queue.settings ->> 'concurrency')::integer as concurrency,
       (select coalesce(sum(permit.n), 0)::integer
        from :"schema".permit
             join :"schema".worker on worker.id = permit.worker_id
        where permit.queue = job.queue) as permits,
       (select extract(epoch from max(queue_tokens.tat) - clock_timestamp())::float8
               - (coalesce((queue.settings ->> 'burst')::integer,
                           greatest(1, floor((queue.settings ->> 'rate')::float8 / 10))) - 1)
                 / (queue.settings ->> 'rate')::float8
        from :"schema".queue_tokens
        where queue_tokens.queue = job.queue and queue_tokens.tat > clock_timestamp()) as token_in
from :"schema".job
     left join :"schema".queue on queue.name = job.queue
     cross join lateral (
         select count(*) as live,
                count(*) filter (where w.serves) as serving,
                count(*) filter (where w.serves and w.knows) as knowing,
                count(*) filter (where w.serves and w.knows and w.takes_jobs) as free
         from (
             select job.queue = any (worker.queues) as serves,
                    worker.tasks = '{}' or job.task = any (worker.tasks) as knows,
                    worker.takes_jobs
             from :"schema".worker
             where not worker.stopping
               and worker.heartbeat_at > clock_timestamp() - make_interval(secs => worker.lease_seconds)
         ) as w
     ) as fleet
where job.id = $1::bigint
