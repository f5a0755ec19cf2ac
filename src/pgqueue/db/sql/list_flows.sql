-- All flows that are declared, were changed, or have jobs in line, by name: what they hold, up to bounds.
-- $1 how many jobs of each to count, $2 how many keys of each to look at.
-- Answers also: keys that have jobs in line, for how many seconds the first jobs of these have waited at most,
-- and how many tokens its rate has left. The rank of a job says when it came in line; see next_rank.
-- needs: job_line (a probe for each flow and each key, $1 entries of each flow), job_admitted ($1 entries of
-- each); flow has few rows
-- locks: nothing
with recursive :named_in_line,
known as (
    select name from :"schema".flow
    union
    select name from named where name is not null
)
select known.name, flow.declared::text, flow.changed::text, coalesce(flow.settings, '{}')::text as settings,
       flow.paused_at, case when flow.held_until > clock_timestamp() then flow.held_until end as held_until,
       flow.changed_at, flow.changed_by, admitted.jobs as admitted, admitted.running,
       line.jobs as waiting, lined.keys,
       case when lined.since is not null  -- greatest() passes over what is null
            then greatest(0, extract(epoch from clock_timestamp()) - lined.since) end::float8 as oldest_seconds,
       case when flow.settings ->> 'rate' is not null
            then coalesce((flow.settings ->> 'burst')::float8, 1)
                 - (flow.settings ->> 'rate')::float8
                   * greatest(0, extract(epoch from flow.tat) - extract(epoch from clock_timestamp()))::float8
       end as tokens,
       (select count(*) from :"schema".flow_key where flow_key.flow = known.name
                                                and flow_key.paused_at is not null) as paused_keys
from known
     left join :"schema".flow on flow.name = known.name
     cross join lateral (
         select count(*) as jobs, count(first.worker_id) as running
         from (
             select job.worker_id
             from :"schema".job
             where job.flow = known.name and job.flow is not null and job.position is not null
             order by job.position
             limit $1::bigint + 1
         ) as first
     ) as admitted
     cross join lateral (
         select count(*) as jobs
         from (
             select
             from :"schema".job
             where job.flow = known.name and job.flow is not null and job.position is null and job.rank > 0
             limit $1::bigint + 1
         ) as first
     ) as line
     cross join lateral (
         with recursive head (key, since, n) as (
             (select job.flow_key::text, :in_line_since, 1
              from :"schema".job
              where job.flow = known.name and job.flow is not null and job.position is null
                and job.rank > 0
              order by job.flow_key, job.rank
              limit 1)
             union all
             select next.key, next.since, head.n + 1
             from head
                  cross join lateral (
                      select job.flow_key::text as key, :in_line_since as since
                      from :"schema".job
                      where job.flow = known.name and job.flow is not null and job.position is null
                        and job.rank > 0 and job.flow_key > head.key
                      order by job.flow_key, job.rank
                      limit 1
                  ) as next
             where head.n <= $2::integer
         )
         select count(*) as keys, min(since) as since from head
     ) as lined
order by known.name
