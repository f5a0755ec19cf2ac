-- What of a job can be copied though some of it cannot: never errors, and, where $5 is false, neither
-- arguments, tags nor metadata, of which nothing is read then.
id, run_at, enqueued_at, claimed_at, worker_id, claim_token, attempt, max_attempts, timeout_seconds,
priority, crash_count, expires_at, queue, task, unique_key, flow, flow_key, rank, weight,
case when $5::boolean then args::jsonb else '{}' end as args,
case when $5::boolean then tags::text[] end as tags,
case when $5::boolean then metadata::jsonb end as metadata
