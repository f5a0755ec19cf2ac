-- Notes that a job was started.
-- $1 job, $2 its file, $3 attempt, $4 pid of the worker.
-- locks: nothing
insert into pgqueue_demo.attempt (job_id, file_id, attempt, pid)
values ($1, $2, $3, $4)
