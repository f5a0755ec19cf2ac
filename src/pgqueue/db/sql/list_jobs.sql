-- A page of jobs, newest first: of all states, or of a final one. It reads so many jobs and no more, however few
-- of them fit.
-- $1 state, $2 queue, $3 task, $4 tag, $5 flow, $6 its key; null: any. $7 below this id, $8 how many,
-- $9 among how many.
-- needs: the primary keys of job and dead, history_id (merged from their ends)
-- locks: nothing
select id, state, queue, task, args, priority, :"schema".readable(run_at) as run_at,
       :"schema".readable(enqueued_at) as enqueued_at, :"schema".readable(claimed_at) as claimed_at,
       :"schema".readable(finished_at) as finished_at, attempt, max_attempts, crash_count,
       timeout_seconds, unique_key, tags, metadata, errors, worker_id,
       :"schema".readable(expires_at) as expires_at, reason, flow, flow_key, weight
from (
    select *
    from :"schema".jobs
    where id < $7::bigint
      and ($1::text is distinct from 'dead' or state = 'dead')  -- these are in a table of their own
    order by id desc
    limit $9::bigint
) as newest
where ($1::text is null or finished_at is not null and state = $1::text)
  and ($2::text is null or queue = $2::text)
  and ($3::text is null or task = $3::text)
  and ($4::text is null or tags @> array[$4::text])
  and ($5::text is null or flow = $5::text)
  and ($6::text is null or flow_key = $6::text)
order by id desc
limit $8::bigint
