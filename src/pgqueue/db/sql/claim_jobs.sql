-- Takes ready jobs for one worker: for each queue up to its quota, priorities in order, oldest first.
-- In the order of position, past what others hold. It answers them in the order of the table: the client
-- sorts them (claim_order.py). One claim of a queue at a time: many at once
-- would stumble over the rows that each other has locked. So a claim locks the queue's row of turn,
-- which only workers can; a queue without one is claimed from all the same. Who finds a queue busy
-- is told so, last, in rows without an id. The lock is a matter of speed alone, ends with the
-- transaction, and $8 goes past it.
-- $1 queues, $2 their quotas, $3 their cursors (ten positions a queue, priority 0 first), $4 tasks,
-- $5 how many in all, $6 worker, $7 token of this claim, $8 whether to claim from busy queues, too,
-- $9 how many bytes of arguments or metadata, as stored, a row may have: where it has more, they are
-- left out, and read when the job begins (see read_claimed). due_at: null where it was due as it was enqueued.
-- A key that is taken until its job starts is free from here on: the update of such a row alone is not HOT.
-- What is not to run says why in refused: cancelled, interrupted (see begin_job) or expired.
-- Of one that expires later it says "in" and the seconds that are left.
-- needs: job_ready (one probe a queue and priority), job by ctid, the primary keys of turn and queue
-- locks: each queue's row of turn, never waited for; the rows it takes, and no others
with want as materialized (
    select want.queue, want.quota, want.n
    from unnest($1::text[], $2::integer[]) with ordinality as want (queue, quota, n)
         left join :"schema".queue as served on served.name = want.queue and served.paused_at is not null
    where served.name is null
),
turned as materialized (
    select queue
    from :"schema".turn
    where queue = any (array(select queue from want))
    for no key update skip locked
),
gate as materialized (
    select want.queue, want.quota, want.n,
           turned.queue is not null
           or not exists (select from :"schema".turn where turn.queue = want.queue) as ours
    from want left join turned on turned.queue = want.queue
),
picked as (
    select ready.row_id
    from gate
         cross join lateral (
             select first.row_id
             from generate_series(0, 9) as p (priority)
                  cross join lateral (
                      select job.ctid as row_id
                      from :"schema".job
                      where job.queue = gate.queue
                        and job.priority = p.priority
                        and job.position > ($3::bigint[])[(gate.n - 1) * 10 + p.priority + 1]
                        and job.worker_id is null
                        and job.task = any ($4::text[])
                      order by job.position
                      limit gate.quota
                      for update skip locked
                  ) as first
             limit gate.quota
         ) as ready
    where gate.ours or $8::boolean
    limit $5::integer
),
taken as (
    update :"schema".job
    set worker_id = $6::bigint,
        claim_token = $7::bigint,
        claimed_at = statement_timestamp(),
        unique_key = case when unique_started then cast(null as :"schema".unique_key) else unique_key end,
        attempt = least(attempt, 2147483646) + 1  -- whatever a row says: it is one of a batch
    where job.ctid = any (array(select picked.row_id from picked))
    returning :claimed_columns, args, metadata,
              case when cancel_requested then 'cancelled'
                   when began_at is not null then 'interrupted'
                   when expires_at <= statement_timestamp() then 'expired'
                   when expires_at < 'infinity'
                       then 'in ' || date_part('epoch', expires_at - statement_timestamp()) end as refused,
              date_part('epoch', enqueued_at) as enqueued_epoch,
              nullif(run_at, enqueued_at) as due_at
)
select :claimed_columns, refused,
       case when pg_column_size(args) <= $9::integer
                 and (metadata is null or pg_column_size(metadata) <= $9::integer)
            then args end as args,
       case when pg_column_size(metadata) <= $9::integer then metadata end as metadata,
       enqueued_epoch, due_at
from taken
union all
select null, null, queue, null, null, null, null, null, null, null, null, null, null, null, null, null
from gate
where not ours
