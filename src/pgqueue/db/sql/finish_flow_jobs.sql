-- Moves finished jobs of flows to history, each with the receipt of its claim, and writes their tickets: as
-- finish_jobs, which takes those without a flow as well.
-- $1 job ids in ascending order, $2 their claim tokens, $3 state: completed or cancelled, $4 the tokens that
-- each used, or null where it did not say.
-- Answers null when every receipt was good, else the ids that were.
-- needs: the primary key of job (see finish_jobs); a partition of history for today
-- locks: the rows of these jobs, in the order of id
with gone as (
    delete from :"schema".job
    using unnest($1::bigint[], $2::bigint[], $4::float8[]) as receipt (id, token, used)
    where job.id = any (array[receipt.id])
      and coalesce(job.claim_token, 0) = receipt.token
      and job.worker_id is not null
    returning job.*, receipt.used
),
kept as (
    insert into :"schema".history (:carried_columns, crash_count, finished_at, state, errors)
    select :carried_columns, crash_count, pg_catalog.statement_timestamp(), $3::text, errors
    from gone
    returning id
),
told as (
    :freed_tickets
)
select case when pg_catalog.count(*) = pg_catalog.cardinality($1::bigint[]) then null
            else coalesce(pg_catalog.array_agg(id), '{}') end
from kept
