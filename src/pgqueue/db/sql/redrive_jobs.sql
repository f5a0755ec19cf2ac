-- Makes dead jobs ready again, as new: all attempts before them, their errors kept. Those of flows come in
-- line: at its end, or at their old place in an ordered flow.
-- $1 job ids. One whose unique key a live job has stays where it is.
-- Positions and ranks follow the ids: they are taken before the sort by keys.
-- Answers id, queue and flow of those that are ready.
-- needs: the primary keys of dead and flow, job_unique_key
-- locks: the rows of dead in the order of id; then unique keys in their order, as enqueue does
with held as materialized (
    select :job_columns, rank as old_rank, errors
    from :"schema".dead
    where id = any ($1::bigint[])
    order by id
    for update
),
placed as materialized (
    select :job_columns, errors,
           case when flow is null then nextval(':"schema".position_seq'::regclass) end as position,
           case when flow is not null
                then coalesce((select abs(held.old_rank) from :"schema".flow as ordered
                               where ordered.name = any (array[held.flow])
                                 and ordered.settings @> '{"ordered": true}'),
                              :"schema".next_rank(flow, priority, statement_timestamp())) end as rank
    from held
),
:back_in_line,
gone as (
    delete from :"schema".dead using back where dead.id = any (array[back.id])
)
select id, queue, flow from back
