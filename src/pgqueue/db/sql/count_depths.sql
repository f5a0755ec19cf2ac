-- Counts the ready jobs of queues that have a max_depth, and notes which are full. The first worker that finds it
-- due does so, and moves the duty on in the same statement: who dies over it leaves it to the next.
-- $1 queues, $2 ten floors for each, by priority: no ready job is below; $3 seconds until it is due again.
-- Where no queue has a max_depth it is due each hour, and at once when one gets it.
-- Answers a row for each queue that it counted, none if it is not due: how many are ready, of each priority no
-- more than max_depth, and the first position of each priority, null for none; and one row without a queue:
-- whether any queue has a max_depth.
-- needs: the primary keys of duty and queue, job_ready; queue has few rows
-- locks: the row of the duty, which it skips if another has it; rows of queue that change
with bounded as materialized (
    select q.name, (q.settings ->> 'max_depth')::integer as most
    from :"schema".queue as q
    where q.settings ->> 'max_depth' is not null or q.full_at is not null
),
ours as materialized (
    update :"schema".duty
    set due_at = clock_timestamp() + case when exists (select from bounded)
                                          then make_interval(secs => $3::float8) else '1 hour' end
    where name = (select name from :"schema".duty
                  where name = 'depth'
                    and (due_at <= clock_timestamp()
                         or due_at > clock_timestamp() + make_interval(secs => 10 * $3::float8)
                            and exists (select from bounded))
                  for update skip locked)
    returning name
),
counted as materialized (
    select bounded.name, bounded.most, seen.depth, seen.firsts
    from ours
         cross join bounded
         left join unnest($1::text[]) with ordinality as known (name, n) on known.name = bounded.name
         cross join lateral (
             select sum(ready.n)::integer as depth, array_agg(ready.first order by p.priority) as firsts
             from generate_series(0, 9) as p (priority)
                  cross join lateral (
                      select count(*) as n, min(one.position) as first
                      from (select job.position
                            from :"schema".job
                            where job.queue = bounded.name and job.priority = p.priority
                              and job.position >= coalesce(
                                  ($2::bigint[])[(known.n - 1) * 10 + p.priority + 1], 0)
                              and job.worker_id is null
                            order by job.position
                            limit coalesce(bounded.most, 0)) as one
                  ) as ready
         ) as seen
),
noted as (
    update :"schema".queue as q
    set full_at = case when counted.depth >= counted.most
                       then coalesce(q.full_at, clock_timestamp()) end,
        depth = counted.depth
    from counted
    where q.name = any (array[counted.name])
      and (q.full_at is not null or counted.depth >= counted.most)
)
select name as queue, depth, firsts, null::boolean as wanted from counted
union all
select null, null, null, exists (select from bounded)
