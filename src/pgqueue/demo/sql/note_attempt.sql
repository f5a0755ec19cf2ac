-- Notes that a job was started.
-- $1 job, $2 attempt, $3 pid of the worker.
-- locks: nothing
insert into pgqueue_demo.attempt (job_id, attempt, pid)
values ($1, $2, $3)
