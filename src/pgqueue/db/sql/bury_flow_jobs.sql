-- Moves jobs of flows to the dead letters, each with the receipt of its claim, and writes their tickets: as
-- bury_jobs. The key of an ordered flow stands still from then on, unless the flow skips what is dead.
-- $1 job ids in ascending order, $2 their claim tokens, $3 reasons, $4 error entry or null, $5 how
-- many error entries a job keeps, $6 the tokens that each used, or null where it did not say.
-- Answers the ids buried; flow and key where one stands still from now on, in rows without an id.
-- needs: the primary keys of job (see finish_jobs), flow and flow_key
-- locks: the rows of these jobs, in the order of id; then rows of flow_key
with gone as (
    delete from :"schema".job
    using unnest($1::bigint[], $2::bigint[], $3::text[], $4::jsonb[], $6::float8[])
          as receipt (id, token, reason, error, used)
    where job.id = any (array[receipt.id])
      and coalesce(job.claim_token, 0) = receipt.token
      and job.worker_id is not null
      and not job.cancel_requested
    returning job.*, receipt.reason, receipt.error, receipt.used
),
kept as (
    insert into :"schema".dead (:carried_columns, rank, crash_count, finished_at, reason, errors)
    select :carried_columns, rank, crash_count, statement_timestamp(), reason,
           case when error is null then errors
                else case when jsonb_array_length(errors) >= $5::integer then errors - 0
                          else coalesce(errors, '[]') end
                     || (error || jsonb_build_object('at', statement_timestamp(),
                                                 'claimed_at', claimed_at)) end
    from gone
    returning id
),
told as (
    :freed_tickets
),
halted as (
    :halted_keys
)
select id, null as flow, null as key from kept
union all
select null, flow, key from halted
