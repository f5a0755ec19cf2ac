-- Moves finished jobs without a flow to history, each with the receipt of its claim.
-- $1 job ids in ascending order, none twice, $2 their claim tokens, $3 state: completed or cancelled. A
-- claimed job whose token somebody deleted has the token 0. The place of an id in $1 is found by bisection.
-- Answers null when every receipt was good, else the ids that were.
-- needs: the primary key of job, read once from the first id to the last; a partition of history for today
-- locks: the rows of these jobs, in the order of id
with gone as (
    delete from :"schema".job
    where job.id = any ($1::bigint[])
      and coalesce(job.claim_token, 0)
          = ($2::bigint[])[pg_catalog.width_bucket(job.id, $1::bigint[])]
      and job.worker_id is not null
    returning :plain_columns, expires_at, run_at, claimed_at, worker_id, claim_token, attempt,
              crash_count, errors
),
kept as (
    insert into :"schema".history (:plain_columns, expires_at, run_at, claimed_at, worker_id, claim_token, attempt,
                                   crash_count, errors, finished_at, state)
    select :plain_columns, expires_at, run_at, claimed_at, worker_id, claim_token, attempt,
           crash_count, errors, pg_catalog.statement_timestamp(), $3::text
    from gone
)
select case when (select pg_catalog.count(*) from gone) = pg_catalog.cardinality($1::bigint[])
            then null
            else (select coalesce(pg_catalog.array_agg(id), '{}') from gone) end
