-- How many dead letters each task has, among those that died last. $1 how many to look at.
-- needs: dead_finished_at
-- locks: nothing
select queue, task, count(*) as jobs, :"schema".readable(min(finished_at)) as oldest,
       :"schema".readable(max(finished_at)) as newest
from (
    select queue, task, finished_at
    from :"schema".dead
    order by finished_at desc, id desc
    limit $1::bigint
) as last
group by queue, task
order by count(*) desc, queue, task
