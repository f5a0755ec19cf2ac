-- State of each of these jobs, and the other live job that has its unique key, if any.
-- $1 job ids.
-- needs: the primary keys of job and dead, history_id, job_unique_key
-- locks: nothing
select jobs.id, jobs.state,
       (select job.id from :"schema".job
        where job.unique_key = jobs.unique_key and job.id <> jobs.id) as holder
from :"schema".jobs
where jobs.id = any ($1::bigint[])
