-- How many jobs of each task wait because their arguments did not fit the last worker that had them.
-- $1 how many scheduled jobs to look at, those that are due first, $2 the type of such an error.
-- needs: job_scheduled
-- locks: nothing
select soonest.task, count(*) as jobs
from (
    select task, errors
    from :"schema".job
    where position is null and run_at < 'infinity'
    order by run_at, id
    limit $1::bigint
) as soonest
where soonest.errors -> -1 ->> 'type' = $2::text
group by soonest.task
order by soonest.task
