-- Tasks at the head of these queues that this worker does not know, with how many were seen.
-- $1 queues, $2 tasks it knows.
-- needs: job_ready
-- locks: nothing
select head.queue, head.task, count(*) as jobs
from unnest($1::text[]) as want (queue)
     cross join lateral (
         select job.queue, job.task
         from :"schema".job
         where job.queue = want.queue and job.position is not null
         order by job.queue, job.priority, job.position
         limit 1000
     ) as head
where head.task <> all ($2::text[])
group by head.queue, head.task
