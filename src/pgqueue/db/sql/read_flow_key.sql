-- What is said of a key of a flow; whether there is such a key at all. $1 flow, $2 key, $3 how many admitted jobs of
-- the flow to look at.
-- needs: the primary keys of flow_key and flow_usage, job_line, line_key, job_admitted ($3 entries)
-- locks: nothing
select flow_key.concurrency, flow_key.weight::float8 as weight,
       flow_key.paused_at is not null as paused, coalesce(flow_key.held_until > clock_timestamp(), false) as held,
       flow_key.key is not null
       or exists (select from :"schema".job
                  where job.flow = $1::text and job.flow is not null and job.flow_key = $2::text
                    and job.position is null and job.rank > 0)
       or exists (select from :"schema".line where line.flow = $1::text and line.key = $2::text)
       or exists (select from :"schema".flow_usage
                  where flow_usage.flow = $1::text and flow_usage.key = $2::text)
       or exists (select
                  from (select job.flow_key
                        from :"schema".job
                        where job.flow = $1::text and job.flow is not null and job.position is not null
                        order by job.position
                        limit $3::bigint) as admitted
                  where admitted.flow_key = $2::text) as exists
from (values ($2::text)) as wanted (key)
     left join :"schema".flow_key on flow_key.flow = $1::text and flow_key.key = wanted.key
