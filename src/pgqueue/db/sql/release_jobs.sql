-- Gives claimed jobs back: for another attempt, later, or because the worker stops.
-- $1 job ids in ascending order, $2 their claim tokens, $3 seconds until they are due (null: ready
-- now, at their old place), $4 change of attempt (0 or -1), $5 error entry or null, $6 how many
-- error entries a job keeps. A claimed job whose token somebody deleted has the token 0. Jobs with
-- a cancel request are left for finish_jobs.
-- Answers the ids released.
-- needs: the primary key of job, probed once a receipt (see finish_jobs)
-- locks: the rows of these jobs, in the order of id
update :"schema".job
set :released,
    position = case when receipt.delay is null then job.position end,
    run_at = case when receipt.delay is null then job.run_at
                  else clock_timestamp() + make_interval(secs => receipt.delay) end,
    attempt = job.attempt + receipt.change,
    -- What is released as it was may have been interrupted, and what began in an earlier claim was.
    -- Of all else the end is known.
    began_at = case when receipt.delay is null or job.began_at < job.claimed_at then job.began_at end,
    errors = case when receipt.error is null then job.errors
                  else case when jsonb_array_length(job.errors) >= $6::integer then job.errors - 0
                            else coalesce(job.errors, '[]') end
                       || (receipt.error || jsonb_build_object('at', statement_timestamp(),
                                             'claimed_at', job.claimed_at)) end
from unnest($1::bigint[], $2::bigint[], $3::float8[], $4::integer[], $5::jsonb[])
     as receipt (id, token, delay, change, error)
where job.id = any (array[receipt.id])
  and coalesce(job.claim_token, 0) = receipt.token
  and job.worker_id is not null
  and not job.cancel_requested
returning job.id
