-- Cancels jobs that wait, and asks for running ones to be stopped.
-- $1 job ids.
-- Answers id, whether it runs, whether it was asked for before, its queue and its flow; nothing of what is
-- not live. A job of a flow that waited may have had a slot, or have closed its line: it leaves a ticket.
-- needs: the primary key of job; a partition of history for today
-- locks: the rows of these jobs, in the order of id
with held as materialized (
    select id, worker_id is not null as running, cancel_requested, queue, flow
    from :"schema".job
    where id = any ($1::bigint[])
    order by id
    for update
),
-- As arrays, so that all rows are locked before the first is changed: who waits for the unique key of one that
-- is being deleted may hold another (enqueue_unique).
gone as (
    delete from :"schema".job
    where job.id = any (array(select held.id from held where not held.running))
    returning job.*
),
kept as (
    insert into :"schema".history (:carried_columns, crash_count, finished_at, state, errors)
    select :carried_columns, crash_count, statement_timestamp(), 'cancelled', errors
    from gone
),
told as (
    insert into :"schema".ticket (flow, key)
    select distinct flow, flow_key from gone where flow is not null
),
asked as (
    update :"schema".job
    set cancel_requested = true
    where job.id = any (array(select held.id from held where held.running and not held.cancel_requested))
)
select id, running, cancel_requested as asked_before, queue, flow from held
