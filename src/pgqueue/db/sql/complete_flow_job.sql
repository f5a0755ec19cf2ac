-- Moves one finished job of a flow to history, in a transaction of the caller's, and writes its ticket: as
-- complete_job.
-- $1 job id, $2 its claim token, $3 the tokens that it used, or null if it did not say.
-- Answers 1, or 0 if the receipt is not good any more.
-- needs: the primary key of job (see finish_jobs); a partition of history for today
-- locks: the row of this job
with gone as (
    delete from :"schema".job
    where id = $1::bigint and coalesce(claim_token, 0) = $2::bigint and worker_id is not null
    returning job.*, $3::float8 as used
),
kept as (
    insert into :"schema".history (:carried_columns, crash_count, finished_at, state, errors)
    select :carried_columns, crash_count, pg_catalog.statement_timestamp(), 'completed', errors
    from gone
    returning id
),
told as (
    :freed_tickets
)
select pg_catalog.count(*) from kept
