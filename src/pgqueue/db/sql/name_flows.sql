-- The names of all flows that have a row or jobs in line, for whoever mistyped one.
-- needs: flow has few rows; job_line (a probe for each flow)
-- locks: nothing
with recursive lined (name) as (
    (select job.flow::text
     from :"schema".job
     where job.flow is not null and job.position is null and job.rank > 0
     order by job.flow
     limit 1)
    union all
    select (select job.flow::text
            from :"schema".job
            where job.flow is not null and job.position is null and job.rank > 0
              and job.flow > lined.name
            order by job.flow
            limit 1)
    from lined
    where lined.name is not null
)
select name from :"schema".flow
union
select name from lined where name is not null
order by name
limit 1000
