-- Flows that have jobs in line and stand still, or have keys that do. $1 how many jobs of each to count.
-- needs: flow has few rows; the primary key of flow_key, job_line ($1 entries of each)
-- locks: nothing
select still.name, still.paused_at, still.held_until, still.paused_keys, line.jobs as waiting
from (
    select flow.name, :"schema".readable(flow.paused_at) as paused_at,
           case when flow.held_until > clock_timestamp() then flow.held_until end as held_until,
           (select count(*)
            from :"schema".flow_key
            where flow_key.flow = flow.name and flow_key.paused_at is not null) as paused_keys
    from :"schema".flow
) as still
     cross join lateral (
         select count(*) as jobs
         from (
             select
             from :"schema".job
             where job.flow = still.name and job.flow is not null and job.position is null and job.rank > 0
             limit $1::bigint + 1
         ) as first
     ) as line
where line.jobs > 0 and (still.paused_at is not null or still.held_until is not null or still.paused_keys > 0)
order by still.name
