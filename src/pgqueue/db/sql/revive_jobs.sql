-- Makes cancelled jobs ready again, as new: all attempts before them, their errors kept.
-- $1 job ids. One whose unique key a live job has stays where it is.
-- Positions follow the ids: the inner query takes them before the sort by keys.
-- Answers id and queue of those that are ready.
-- needs: history_id, job_unique_key
-- locks: the rows of history in the order of id; then unique keys in their order, as enqueue does
with held as materialized (
    select :job_columns, errors
    from :"schema".history
    where id = any ($1::bigint[]) and state = 'cancelled'
    order by id
    for update
),
back as (
    insert into :"schema".job (:job_columns, position, run_at, errors)
    select :job_columns, position, statement_timestamp(), errors
    from (select *, nextval(':"schema".position_seq'::regclass) as position from held) as held
    order by unique_key collate "C" nulls first, id
    on conflict do nothing
    returning id, queue
),
gone as (
    delete from :"schema".history using back where history.id = any (array[back.id]) and state = 'cancelled'
)
select id, queue from back
