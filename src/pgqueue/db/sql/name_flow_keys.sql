-- Keys of a flow that have jobs in line, and those that somebody treats differently, for whoever mistyped one.
-- $1 flow, $2 how many.
-- needs: job_line (a probe for each), the primary key of flow_key
-- locks: nothing
with recursive lined (key, n) as (
    (select job.flow_key::text, 1
     from :"schema".job
     where job.flow = $1::text and job.flow is not null and job.position is null and job.rank > 0
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
    where lined.n < $2::integer
)
select key from lined
union
(select key from :"schema".flow_key where flow = $1::text order by key limit $2::integer)
