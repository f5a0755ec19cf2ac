-- Moves a job to the dead letters without what of it cannot be copied: what stands in errors, and, where
-- $5 is false, its arguments, tags and metadata too. Nothing of these is read then.
-- $1 its id, $2 its claim token, $3 the reason, $4 the error entry that stays. A claimed job whose token
-- somebody deleted has the token 0. A job with a cancel request is left for finish_damaged.
-- Answers the id if it was buried.
-- A job of a flow writes its ticket, and stops its key, as in bury_flow_jobs.
-- needs: the primary keys of job, flow and flow_key
-- locks: the row of this job; then one of flow_key
with gone as (
    delete from :"schema".job
    where id = $1::bigint
      and coalesce(claim_token, 0) = $2::bigint
      and worker_id is not null
      and not cancel_requested
    returning :undamaged_columns
),
kept as (
    insert into :"schema".dead (:carried_columns, rank, crash_count, finished_at, reason, errors)
    select :carried_columns, rank, crash_count, statement_timestamp(), $3::text,
           jsonb_build_array($4::jsonb || jsonb_build_object('at', statement_timestamp()))
    from gone
    returning id
),
told as (
    insert into :"schema".ticket (flow, key) select flow, flow_key from gone where flow is not null
),
halted as (
    :halted_keys
)
select id from kept
