-- Makes due jobs ready: they get their position now, behind what is ready already. Those of flows come in line,
-- at their old place if they had one.
-- $1 how many at most, $2 look no further back than this due time.
-- Answers the queues that got work, and the flows that got jobs in line, once for each job.
-- needs: job_scheduled, job by ctid
-- locks: the rows it moves, in the order of run_at and id; skips what others hold
with due as (
    select ctid as row_id, run_at
    from :"schema".job
    where position is null and run_at >= $2::timestamptz and run_at <= statement_timestamp()
    order by run_at, id
    limit $1::integer
    for update skip locked
),
moved as (
    update :"schema".job
    set position = case when job.flow is null then nextval(':"schema".position_seq'::regclass) end,
        run_at = case when job.flow is null then job.run_at else 'infinity' end,
        rank = case when job.flow is not null
                    then coalesce(abs(job.rank),
                                  :"schema".next_rank(job.flow, job.priority, statement_timestamp())) end
    from due
    where job.ctid = due.row_id
    returning job.queue, due.run_at, job.flow, job.flow_key, job.rank
),
told as (
    insert into :"schema".ticket (flow, key, rank)
    select flow, flow_key, min(rank) from moved where flow is not null group by flow, flow_key
)
select queue, run_at, flow from moved
