-- The names of flows that have jobs in line, one probe of job_line for each; null at the end.
named (name) as (
    (select job.flow::text
     from :"schema".job
     where job.flow is not null and job.position is null and job.rank > 0
     order by job.flow
     limit 1)
    union all
    select (select job.flow::text
            from :"schema".job
            where job.flow is not null and job.position is null and job.rank > 0
              and job.flow > named.name
            order by job.flow
            limit 1)
    from named
    where named.name is not null
)
