-- Deletes dead letters that fit, oldest first.
-- $1 ids, $2 queue, $3 task, $4 a part of the reason, $5 seconds since it died; null: any.
-- $6 how many.
-- needs: the primary key of dead
-- locks: the rows it deletes, in the order of id
with held as materialized (
    select id
    from :"schema".dead
    where ($1::bigint[] is null or id = any ($1::bigint[]))
      and ($2::text is null or queue = $2::text)
      and ($3::text is null or task = $3::text)
      and ($4::text is null or strpos(lower(reason), lower($4::text)) > 0)
      and ($5::float8 is null
           or finished_at < statement_timestamp() - make_interval(secs => $5::float8))
    order by id
    limit $6::bigint
    for update
)
delete from :"schema".dead using held where dead.id = any (array[held.id])
returning dead.id
