-- What was over is a live job again, of all the columns that it keeps: ready, or in line.
back as (
    insert into :"schema".job (:job_columns, position, rank, run_at, errors)
    select :job_columns, position, rank,
           case when flow is null then statement_timestamp() else 'infinity' end, errors
    from placed
    order by unique_key collate "C" nulls first, id
    on conflict do nothing
    returning id, queue, flow, flow_key, rank
),
told as (
    insert into :"schema".ticket (flow, key, rank)
    select flow, flow_key, min(rank) from back where flow is not null group by flow, flow_key
)
