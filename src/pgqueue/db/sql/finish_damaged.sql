-- Moves a finished job to history without what of it cannot be copied: see bury_damaged.
-- $1 its id, $2 its claim token, $3 state: completed or cancelled, $4 the error entry that stays,
-- $5 whether arguments, tags and metadata are kept.
-- Answers the id if its receipt was good.
-- needs: the primary key of job; a partition of history for today
-- locks: the row of this job
with gone as (
    delete from :"schema".job
    where id = $1::bigint
      and coalesce(claim_token, 0) = $2::bigint
      and worker_id is not null
    returning id, run_at, enqueued_at, claimed_at, worker_id, claim_token, attempt, max_attempts,
              timeout_seconds, priority, crash_count, queue, task, unique_key,
              case when $5::boolean then args::jsonb else '{}' end as args,
              case when $5::boolean then tags::text[] end as tags,
              case when $5::boolean then metadata::jsonb end as metadata
)
insert into :"schema".history
    (id, finished_at, run_at, enqueued_at, claimed_at, worker_id, claim_token, attempt,
     max_attempts, timeout_seconds, priority, crash_count, state, queue, task, args, unique_key,
     tags, metadata, errors)
select id, statement_timestamp(), run_at, enqueued_at, claimed_at, worker_id, claim_token, attempt,
       max_attempts, timeout_seconds, priority, crash_count, $3::text, queue, task, args, unique_key,
       tags, metadata,
       jsonb_build_array($4::jsonb || jsonb_build_object('at', statement_timestamp()))
from gone
returning id
