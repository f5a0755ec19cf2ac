-- The verdict on a run: what became of each file, from the rows that are there.
--   lost            files without a result, but for the poison once its job is dead
--   doubled         files with more than one result
--   exactly_once    each file has one job; the poison's is dead and wrote nothing, all others are
--                   completed and have one result each; and there are no results beside those
--   rescued         jobs that were taken from a worker because it died
--   run_again       of the jobs held by the killed worker, those that somebody else started since
--   started_twice   of the jobs that it had started and not completed, those started once more
--   rescue_seconds  from the kill until the last of its jobs was started by somebody else
--   slots           of the schedule, that have a job
--   slots_once      each slot from the first to the last of them has one job
-- needs: nothing: it reads everything
-- locks: nothing
with job as (
    select id, state, attempt, crash_count, (args ->> 'file_id')::bigint as file_id
    from pgqueue_demo_queue.jobs
),
work as (
    select file_id,
           count(*) as jobs,
           count(*) filter (where state = 'completed') as completed,
           count(*) filter (where state = 'dead') as dead,
           count(*) filter (where crash_count > 0) as rescued,
           sum(greatest(attempt - crash_count - 1, 0)) as retried
    from job
    group by file_id
),
written as (
    select file_id, count(*) as results
    from pgqueue_demo.result
    group by file_id
),
tally as (
    select poison,
           coalesce(jobs, 0) as jobs,
           coalesce(completed, 0) as completed,
           coalesce(dead, 0) as dead,
           coalesce(rescued, 0) as rescued,
           coalesce(retried, 0) as retried,
           coalesce(results, 0) as results
    from pgqueue_demo.file
         left join work on work.file_id = file.id
         left join written on written.file_id = file.id
),
counts as (
    select count(*) as files,
           count(*) filter (where not poison) as wanted,
           sum(jobs)::bigint as enqueued,
           sum(completed)::bigint as completed,
           sum(retried)::bigint as retried,
           sum(dead)::bigint as dead,
           sum(rescued)::bigint as rescued,
           count(*) filter (where results = 0 and not (poison and dead > 0)) as lost,
           count(*) filter (where results > 1) as doubled,
           bool_and(jobs = 1
                    and results = (not poison)::integer
                    and completed = (not poison)::integer
                    and dead = poison::integer) as each_once
    from tally
),
again as (
    select held.started, min(attempt.started_at) as started_at
    from pgqueue_demo.held
         join pgqueue_demo.attempt on attempt.job_id = held.job_id
         join pgqueue_demo.killed on attempt.pid <> killed.pid and attempt.started_at > killed.killed_at
    group by held.job_id
),
rescue as (
    select (select count(*) from pgqueue_demo.held) as held,
           count(*) as run_again,
           count(*) filter (where started) as started_twice,
           extract(epoch from max(started_at) - (select killed_at from pgqueue_demo.killed))::float8
               as rescue_seconds
    from again
),
slots as (
    select count(*) as slots,
           count(*) = count(distinct slot)
               and count(*) = coalesce(extract(epoch from max(slot) - min(slot)) / 2 + 1, 0) as slots_once
    from (select (metadata ->> 'slot')::timestamptz as slot
          from pgqueue_demo_queue.jobs
          where metadata ->> 'schedule' = 'tally') as job
),
results as (
    select count(*) as results,
           count(unreadable) as unreadable,
           coalesce(sum(bytes), 0)::bigint as bytes,
           coalesce(sum(lines), 0)::bigint as lines,
           coalesce(sum(compressed), 0)::bigint as compressed,
           extract(epoch from max(written_at)
                              - (select min(added_at) from pgqueue_demo.file))::float8 as seconds
    from pgqueue_demo.result
)
select files, enqueued, completed, retried, dead, rescued, lost, doubled,
       coalesce(each_once, false) and results = wanted as exactly_once,
       held, run_again, started_twice, rescue_seconds,
       slots, slots_once, unreadable, bytes, lines, compressed, seconds
from counts, rescue, slots, results
