-- How many jobs are in the states that no queue counts, up to a bound; of history the first so many
-- and, from PostgreSQL's statistics, about how many there are; seconds until the next one is due,
-- negative when it is overdue.
-- $1 how many to count.
-- needs: job_scheduled
-- locks: nothing
select (select count(*) from (select from :"schema".job
                              where position is null and run_at < 'infinity'
                              order by run_at, id limit $1::bigint + 1) as s) as scheduled,
       (select count(*) from (select from :"schema".job
                              where position is null and run_at = 'infinity'
                              order by run_at, id limit $1::bigint + 1) as b) as blocked,
       (select count(*) from (select from :"schema".dead limit $1::bigint + 1) as d) as dead,
       history.seen, history.cancelled,
       (select coalesce(sum(greatest(reltuples, pg_stat_get_live_tuples(pg_class.oid))), 0)::bigint
        from pg_inherits
             join pg_class on pg_class.oid = inhrelid
        where inhparent = ':"schema".history'::regclass) as estimate,
       (select extract(epoch from :"schema".readable(run_at) - clock_timestamp())::float8
        from :"schema".job
        where position is null and run_at < 'infinity'
        order by run_at, id
        limit 1) as next_due,
       (select max(version) from :"schema".migration) as version
from (
    select count(*) as seen, count(*) filter (where state = 'cancelled') as cancelled
    from (select state from :"schema".history limit $1::bigint + 1) as h
) as history
