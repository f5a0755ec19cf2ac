-- Moves a job to the dead letters without what of it cannot be copied: what stands in errors, and, where
-- $5 is false, its arguments, tags and metadata too. Nothing of these is read then.
-- $1 its id, $2 its claim token, $3 the reason, $4 the error entry that stays. A claimed job whose token
-- somebody deleted has the token 0. A job with a cancel request is left for finish_damaged.
-- Answers the id if it was buried.
-- needs: the primary key of job
-- locks: the row of this job
with gone as (
    delete from :"schema".job
    where id = $1::bigint
      and coalesce(claim_token, 0) = $2::bigint
      and worker_id is not null
      and not cancel_requested
    returning id, run_at, enqueued_at, claimed_at, worker_id, claim_token, attempt, max_attempts,
              timeout_seconds, priority, crash_count, queue, task, unique_key,
              case when $5::boolean then args::jsonb else '{}' end as args,
              case when $5::boolean then tags::text[] end as tags,
              case when $5::boolean then metadata::jsonb end as metadata
)
insert into :"schema".dead
    (id, finished_at, run_at, enqueued_at, claimed_at, worker_id, claim_token, attempt,
     max_attempts, timeout_seconds, priority, crash_count, reason, queue, task, args, unique_key,
     tags, metadata, errors)
select id, statement_timestamp(), run_at, enqueued_at, claimed_at, worker_id, claim_token, attempt,
       max_attempts, timeout_seconds, priority, crash_count, $3::text, queue, task, args, unique_key,
       tags, metadata,
       jsonb_build_array($4::jsonb || jsonb_build_object('at', statement_timestamp()))
from gone
returning id
