-- Moves a finished job to history without what of it cannot be copied: see bury_damaged.
-- $1 its id, $2 its claim token, $3 state: completed or cancelled, $4 the error entry that stays,
-- $5 whether arguments, tags and metadata are kept.
-- Answers the id if its receipt was good. A job of a flow writes its ticket.
-- needs: the primary key of job; a partition of history for today
-- locks: the row of this job
with gone as (
    delete from :"schema".job
    where id = $1::bigint
      and coalesce(claim_token, 0) = $2::bigint
      and worker_id is not null
    returning :undamaged_columns
),
kept as (
    insert into :"schema".history (:carried_columns, crash_count, finished_at, state, errors)
    select :carried_columns, crash_count, statement_timestamp(), $3::text,
           jsonb_build_array($4::jsonb || jsonb_build_object('at', statement_timestamp()))
    from gone
    returning id
),
told as (
    insert into :"schema".ticket (flow, key) select flow, flow_key from gone where flow is not null
)
select id from kept
