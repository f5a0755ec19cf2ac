-- What is missing after a restore without some of the rows, or after TRUNCATE: duties, queues of workers
-- that are registered, partitions of history for today and tomorrow, the rows of migration and home;
-- and whether a sequence is behind what it has numbered: of the jobs, the newest thousand.
-- needs: the primary keys of job, dead, duty and queue, history_id; worker has a row for each process
-- locks: nothing
select array(select name
             from unnest(array['depth', 'history', 'lines', 'orphans', 'retention', 'vacuum']) as needed (name)
             where not exists (select from :"schema".duty where duty.name = needed.name)) as duties,
       array(select distinct served.name
             from :"schema".worker, unnest(worker.queues) as served (name)
             where not exists (select from :"schema".queue where queue.name = served.name)
             order by served.name) as queues,
       array(select day::text
             from (select (statement_timestamp() at time zone 'UTC')::date + n as day
                   from generate_series(0, 1) as n) as soon
             where exists (select from :"schema".worker)  -- the first one to start makes them
               and not exists (select from pg_inherits
                                        join pg_class on pg_class.oid = inhrelid
                                   where inhparent = ':"schema".history'::regclass
                                     and relname = 'history_' || to_char(day, 'YYYYMMDD'))) as days,
       (select greatest((select max(id) from :"schema".job), (select max(id) from :"schema".dead),
                        (select id from :"schema".history order by id desc limit 1))
               >= last_value + is_called::integer
        from :"schema".job_id_seq) as ids_behind,
       (select (select max(position)
                from (select position from :"schema".job order by id desc limit 1000) as newest)
               >= last_value + is_called::integer
        from :"schema".position_seq) as positions_behind,
       not exists (select from :"schema".migration) as unrecorded,
       not exists (select from :"schema".home) and exists (select from :"schema".here()) as homeless
