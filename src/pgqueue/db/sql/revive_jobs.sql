-- Makes cancelled jobs ready again, as new: all attempts before them, their errors kept. Those of flows come in
-- line, at its end.
-- $1 job ids. One whose unique key a live job has stays where it is.
-- Positions and ranks follow the ids: they are taken before the sort by keys.
-- Answers id, queue and flow of those that are ready.
-- needs: history_id, job_unique_key
-- locks: the rows of history in the order of id; then unique keys in their order, as enqueue does
with held as materialized (
    select :job_columns, errors
    from :"schema".history
    where id = any ($1::bigint[]) and state = 'cancelled'
    order by id
    for update
),
placed as materialized (
    select :job_columns, errors,
           case when flow is null then nextval(':"schema".position_seq'::regclass) end as position,
           case when flow is not null
                then :"schema".next_rank(flow, priority, statement_timestamp()) end as rank
    from held
),
:back_in_line,
gone as (
    delete from :"schema".history using back where history.id = any (array[back.id]) and state = 'cancelled'
)
select id, queue, flow from back
