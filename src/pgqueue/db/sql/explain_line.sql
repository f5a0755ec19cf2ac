-- What keeps a job in the line of its key: who is before it, limits, rates, pauses.
-- $1 job id, $2 how many jobs before it to count, $3 how many admitted jobs of its flow to look at.
-- Answers no row for a job that is not in line. settings: null if nobody has said what its limits are. tat, key_tat:
-- for how many seconds to come the tokens are not full. first_id, first_due_in: the first job of its line, where
-- that waits for its next attempt and so closes the line of an ordered flow.
-- needs: the primary keys of job, flow and flow_key, job_line ($2 entries), job_admitted ($3 entries), line_key
-- locks: nothing
select job.flow::text as flow, job.flow_key::text as key, coalesce(job.weight, 1) as weight,
       (select count(*)
        from (
            select
            from :"schema".job as earlier
            where earlier.flow = job.flow and earlier.flow is not null and earlier.flow_key = job.flow_key
              and earlier.position is null and earlier.rank > 0 and earlier.rank < job.rank
            limit $2::integer
        ) as before) as before,
       admitted.jobs as admitted, admitted.of_key,
       case when coalesce(flow.declared, flow.changed) is not null then flow.settings::text end as settings,
       :"schema".readable(flow.paused_at) as paused_at,
       extract(epoch from flow.held_until - clock_timestamp())::float8 as held,
       (extract(epoch from flow.tat) - extract(epoch from clock_timestamp()))::float8 as tat,
       flow_key.concurrency as own_concurrency, :"schema".readable(flow_key.paused_at) as key_paused_at,
       flow_key.pause_reason as reason,
       extract(epoch from flow_key.held_until - clock_timestamp())::float8 as key_held,
       (extract(epoch from line.tat) - extract(epoch from clock_timestamp()))::float8 as key_tat,
       head.id as first_id, head.due_in as first_due_in
from :"schema".job
     left join :"schema".flow on flow.name = job.flow
     left join :"schema".flow_key on flow_key.flow = job.flow and flow_key.key = job.flow_key
     left join lateral (
         select line.tat
         from :"schema".line
         where line.flow = job.flow and line.key = job.flow_key
         order by line.turn desc
         limit 1
     ) as line on true
     left join lateral (
         select first.id, extract(epoch from first.run_at - clock_timestamp())::float8 as due_in
         from (
             select other.id, other.run_at
             from :"schema".job as other
             where other.flow = job.flow and other.flow is not null and other.flow_key = job.flow_key
               and other.position is null and other.rank > 0
             order by other.rank
             limit 1
         ) as first
         where first.run_at < 'infinity'
     ) as head on true
     cross join lateral (
         select count(*) as jobs, count(*) filter (where first.flow_key = job.flow_key) as of_key
         from (
             select other.flow_key
             from :"schema".job as other
             where other.flow = job.flow and other.flow is not null and other.position is not null
             order by other.position
             limit $3::integer
         ) as first
     ) as admitted
where job.id = $1::bigint and job.flow is not null and job.position is null and job.rank > 0
  and job.run_at = 'infinity'
