-- Finds the worker on this machine that runs most jobs at this moment.
-- $1 name of this machine.
-- Answers its id and pid, how many jobs it holds, and how many of those it has started.
-- needs: nothing: it reads the live jobs as a whole
-- locks: nothing
select worker.id,
       worker.pid,
       count(*) as held,
       count(*) filter (where attempt.job_id is not null) as started
from pgqueue_demo_queue.job
     join pgqueue_demo_queue.worker on worker.id = job.worker_id
     left join pgqueue_demo.attempt
            on attempt.job_id = job.id and attempt.attempt = job.attempt and attempt.pid = worker.pid
where worker.host = $1
group by worker.id
order by started desc, held desc
limit 1
