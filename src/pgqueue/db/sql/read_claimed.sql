-- A claimed job as a whole: its claim left out arguments that are large.
-- $1 job id, $2 the token of its claim.
-- needs: the primary key of job
-- locks: nothing
select id, position, queue, priority, task, args, attempt, max_attempts, crash_count,
       timeout_seconds, enqueued_at, tags, metadata, cancel_requested
from :"schema".job
where id = $1::bigint and claim_token = $2::bigint
