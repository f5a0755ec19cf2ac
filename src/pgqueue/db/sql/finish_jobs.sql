-- Moves finished jobs to history, each with the receipt of its claim.
-- $1 job ids in ascending order, $2 their claim tokens, $3 state: completed or cancelled. A claimed
-- job whose token somebody deleted has the token 0.
-- Answers null when every receipt was good, else the ids that were.
-- needs: the primary key of job, probed once a receipt: = any (array[...]) keeps the planner, which may
-- believe the table empty, from reading it as a whole and the receipts for each of its rows; a partition of history for today
-- locks: the rows of these jobs, in the order of id
with gone as (
    delete from :"schema".job
    using unnest($1::bigint[], $2::bigint[]) as receipt (id, token)
    where job.id = any (array[receipt.id])
      and coalesce(job.claim_token, 0) = receipt.token
      and job.worker_id is not null
    returning job.*
),
kept as (
    insert into :"schema".history (:carried_columns, crash_count, finished_at, state, errors)
    select :carried_columns, crash_count, pg_catalog.statement_timestamp(), $3::text, errors
    from gone
    returning id
)
select case when pg_catalog.count(*) = pg_catalog.cardinality($1::bigint[]) then null
            else coalesce(pg_catalog.array_agg(id), '{}') end
from kept
