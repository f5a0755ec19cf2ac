-- Releases what lost workers held. A crash is counted against the jobs that had begun, but those
-- that crashed twice and were not quarantined: they run quarantined or not at all. Where nobody knows
-- what had begun, it is counted against the one that its worker had quarantined or, if none was, against
-- all of that worker's but those. At the cap a job is buried. The others keep their attempt.
-- $1 worker ids, $2 cap of crash_count, $3 how many error entries a job keeps, $4 an error entry for
-- each worker, $5 and $6 ids and claim tokens of the jobs that had begun, or null if nobody knows: no
-- other is blamed, $7 whether to move what is at its end: one row that cannot be moved must not keep
-- the others. It is put off for ten minutes then, if it is at the cap, and kills nobody meanwhile.
-- $8 those of the workers whose jobs are not blamed.
-- Answers id, queue, task, position, worker and fate of each: rescued, dead or cancelled. Those that
-- somebody has locked, as the transaction of a host that vanished before its commit, are for
-- find_orphans. Last, without an id, flow and key where one stands still since a job of it is dead.
-- Who is released as it was keeps its slot of its flow; who leaves it writes a ticket.
-- needs: nothing: it reads job as a whole, once for all these workers; then the primary key. Not ctid:
-- a row that was changed since this statement began has another, which its snapshot does not show
-- locks: the rows of these jobs, in the order of id; skips what others hold; then rows of flow_key
with mine as materialized (
    select id
    from :"schema".job
    where worker_id = any ($1::bigint[])
    order by id
),
held as materialized (
    select job.id, job.quarantined, job.crash_count, job.cancel_requested, job.worker_id,
           job.worker_id <> all ($8::bigint[])
           and ($5::bigint[] is null
                or exists (select from unnest($5::bigint[], $6::bigint[]) as noted (id, token)
                           where noted.id = job.id and noted.token = job.claim_token)) as begun
    from mine
         join :"schema".job on job.id = any (array[mine.id])
    where job.worker_id = any ($1::bigint[])
    order by job.id
    for update of job skip locked
),
verdict as materialized (
    select id, worker_id, cancel_requested and $7::boolean as cancelled, blamed,
           ($4::text[])[array_position($1::bigint[], worker_id)]::jsonb as entry,
           capped and $7::boolean as fatal, capped and not $7::boolean as stuck
    from held,
         lateral (
             select begun
                    and (held.quarantined
                         or held.crash_count < 2
                            and ($5::bigint[] is not null
                                 or held.worker_id
                                    <> all (array(select worker_id from held where quarantined))))
                    as blamed
         ) as b,
         lateral (
             select not cancel_requested and blamed and crash_count + 1 >= $2::integer as capped
         ) as c
),
freed as (
    update :"schema".job
    set :released,
        position = case when stuck then null else job.position end,
        run_at = case when stuck then statement_timestamp() + interval '10 min' else run_at end,
        rank = case when not stuck
                         or exists (select from :"schema".flow
                                    where flow.name = any (array[job.flow])
                                      and flow.settings @> '{"ordered": true}')
                    then job.rank else -abs(job.rank) end,
        crash_count = least(job.crash_count, 32766) + blamed::integer,
        attempt = job.attempt - (not blamed)::integer,
        errors = case when not blamed then job.errors
                      else case when jsonb_array_length(job.errors) >= $3::integer then job.errors - 0
                                else coalesce(job.errors, '[]') end
                           || (entry || jsonb_build_object(
                               'attempt', job.attempt, 'at', statement_timestamp())) end
    from verdict
    where job.id = any (array[verdict.id]) and not fatal and not cancelled
    returning job.id, job.queue, job.task, job.position, verdict.worker_id, job.flow, job.flow_key, job.rank
),
gone as (
    delete from :"schema".job
    using verdict
    where job.id = any (array[verdict.id]) and fatal
    returning job.*, verdict.entry
),
graves as (
    insert into :"schema".dead (:carried_columns, rank, crash_count, finished_at, reason, errors)
    select :carried_columns, rank,
           least(crash_count, 32766) + 1, statement_timestamp(),
           'its worker died ' || crash_count + 1 || ' times while it ran',
           (case when jsonb_array_length(errors) >= $3::integer then errors - 0
                 else coalesce(errors, '[]') end)
           || (entry || jsonb_build_object('attempt', attempt, 'at', statement_timestamp()))
    from gone
    returning id, queue, task, worker_id
),
stopped as (
    delete from :"schema".job
    using verdict
    where job.id = any (array[verdict.id]) and verdict.cancelled
    returning job.*
),
cancelled as (
    insert into :"schema".history (:carried_columns, crash_count, finished_at, state, errors)
    select :carried_columns, crash_count, statement_timestamp(), 'cancelled', errors
    from stopped
    returning id, queue, task, worker_id
),
told as (
    insert into :"schema".ticket (flow, key, rank)
    select flow, flow_key, min(rank)
    from (select flow, flow_key, null::bigint as rank from gone
          union all
          select flow, flow_key, null from stopped
          union all
          select flow, flow_key, case when rank > 0 then rank end from freed where position is null) as free
    where flow is not null
    group by flow, flow_key
),
halted as (
    :halted_keys
)
select id, queue, task, position, worker_id, 'rescued' as fate, null as flow, null as key from freed
union all
select id, queue, task, null, worker_id, 'dead', null, null from graves
union all
select id, queue, task, null, worker_id, 'cancelled', null, null from cancelled
union all
select null, null, null, null, null, 'halted', flow, key from halted
