-- Makes scheduled jobs ready now, among them those that wait for their next attempt. Those of flows come in
-- line, at their old place if they had one.
-- $1 job ids.
-- Answers id, queue and flow of those that were scheduled.
-- needs: the primary key of job
-- locks: the rows of these jobs, in the order of id
with held as materialized (
    select id
    from :"schema".job
    where id = any ($1::bigint[]) and position is null and run_at < 'infinity'
    order by id
    for update
),
moved as (
    update :"schema".job
    set position = case when job.flow is null then nextval(':"schema".position_seq'::regclass) end,
        run_at = case when job.flow is null then statement_timestamp() else 'infinity' end,
        rank = case when job.flow is not null
                    then coalesce(abs(job.rank),
                                  :"schema".next_rank(job.flow, job.priority, statement_timestamp())) end
    -- All are locked before the first is changed: see cancel_jobs.
    where job.id = any (array(select held.id from held))
    returning job.id, job.queue, job.flow, job.flow_key, job.rank
),
told as (
    insert into :"schema".ticket (flow, key, rank)
    select flow, flow_key, min(rank) from moved where flow is not null group by flow, flow_key
)
select id, queue, flow from moved
