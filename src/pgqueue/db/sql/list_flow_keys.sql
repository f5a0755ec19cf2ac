-- A page of the keys of a flow, by name: those that have jobs in line or admitted, and those of which an operator
-- or a halt says something.
-- $1 flow, $2 from this key on, $3 whether that itself is one of them, $4 how many keys, $5 how many jobs of each
-- to count, $6 how many admitted jobs of the flow to look at, $7 whether only those that stand still.
-- Answers also: its place among the keys whose turn comes, up to 1,000; what of its rate is left; what its jobs
-- used today, in UTC.
-- needs: job_line (a probe for each key, $5 entries of each), job_admitted ($6 entries), line_turn (1,000 entries),
-- line_key, the primary keys of flow, flow_key and flow_usage
-- locks: nothing
with recursive lined (key, n) as (
    (select job.flow_key::text, 1
     from :"schema".job
     where job.flow = $1::text and job.flow is not null and job.position is null and job.rank > 0
       and job.flow_key >= $2::text and not $7::boolean
     order by job.flow_key
     limit 1)
    union all
    select next.key, lined.n + 1
    from lined
         cross join lateral (
             select job.flow_key::text as key
             from :"schema".job
             where job.flow = $1::text and job.flow is not null and job.position is null and job.rank > 0
               and job.flow_key > lined.key
             order by job.flow_key
             limit 1
         ) as next
    where lined.n <= $4::integer
),
admitted as materialized (
    select first.key, count(*) as jobs, count(first.worker_id) as running
    from (
        select job.flow_key::text as key, job.worker_id
        from :"schema".job
        where job.flow = $1::text and job.flow is not null and job.position is not null
        order by job.position
        limit $6::bigint
    ) as first
    group by first.key
),
treated as (
    select flow_key.key
    from :"schema".flow_key
    where flow_key.flow = $1::text and flow_key.key >= $2::text
      and (flow_key.paused_at is not null or flow_key.held_until > clock_timestamp()
           or not $7::boolean and (flow_key.concurrency is not null or flow_key.weight is not null))
    order by flow_key.key
    limit $4::integer + 1
),
page as materialized (
    select known.key
    from (
        select key from lined
        union
        select key from admitted where key >= $2::text and not $7::boolean
        union
        select key from treated
    ) as known
    where $3::boolean or known.key <> $2::text
    order by known.key
    limit $4::integer
),
queued as materialized (
    select first.key, row_number() over (order by first.turn) as place
    from (
        select line.key, line.turn
        from :"schema".line
        where line.flow = $1::text and line.turn < 'infinity'
        order by line.turn
        limit 1000
    ) as first
)
select page.key, coalesce(admitted.jobs, 0) as admitted, coalesce(admitted.running, 0) as running,
       waiting.jobs as waiting,
       case when waiting.since is not null  -- greatest() passes over what is null
            then greatest(0, extract(epoch from clock_timestamp()) - waiting.since) end::float8 as oldest_seconds,
       (select min(queued.place) from queued where queued.key = page.key) as place,
       flow_key.concurrency, flow_key.weight::float8 as weight, flow_key.paused_at, flow_key.pause_reason,
       case when flow_key.held_until > clock_timestamp() then flow_key.held_until end as held_until,
       case when flow.settings ->> 'key_rate' is not null
            then coalesce((flow.settings ->> 'key_burst')::float8, 1)
                 - (flow.settings ->> 'key_rate')::float8
                   * greatest(0, extract(epoch from line.tat) - extract(epoch from clock_timestamp()))::float8
       end as tokens,
       flow_key.changed_at, flow_key.changed_by,
       coalesce(flow_usage.used, 0) as used_today
from page
     left join admitted on admitted.key = page.key
     left join :"schema".flow on flow.name = $1::text
     left join :"schema".flow_key on flow_key.flow = $1::text and flow_key.key = page.key
     left join :"schema".flow_usage on flow_usage.flow = $1::text and flow_usage.key = page.key
                                   and flow_usage.day = (clock_timestamp() at time zone 'UTC')::date
     left join lateral (
         select line.tat
         from :"schema".line
         where line.flow = $1::text and line.key = page.key
         order by line.turn desc
         limit 1
     ) as line on true
     cross join lateral (
         select count(*) as jobs, (array_agg(first.since order by first.rank))[1] as since
         from (
             select job.rank, :in_line_since as since
             from :"schema".job
             where job.flow = $1::text and job.flow is not null and job.flow_key = page.key
               and job.position is null and job.rank > 0
             order by job.rank
             limit $5::bigint + 1
         ) as first
     ) as waiting
order by page.key
