-- Retention drops partitions that were detached before: completions never wait for the drop.
-- breaking: no

-- As in the first migration; first those that a worker has detached, for which history is not locked.
-- A worker marks a partition before it detaches it: what somebody else has detached is kept.
create or replace function :"schema".drop_history(keep interval, most integer default null) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp set lock_timeout = '2s' set timezone = 'UTC'
set client_min_messages = 'warning'
as $body$
declare
    history constant oid := ':"schema".history'::pg_catalog.regclass;
    dropped integer := 0;
    past record;
begin
    for past in
        select relnamespace::regnamespace || '.' || relname as name, inhrelid is not null as attached
        from pg_catalog.pg_class
             left join pg_catalog.pg_inherits on inhrelid = pg_class.oid
        where relnamespace = (select relnamespace from pg_catalog.pg_class where oid = history)
          and relkind = 'r'
          and relname ~ '^history_[0-9]{8}$'
          and pg_catalog.to_date(pg_catalog.right(relname, 8), 'YYYYMMDD') + 1
              <= statement_timestamp() - keep
          and (inhparent = history
               or inhparent is null
                  and pg_catalog.obj_description(pg_class.oid, 'pg_class') = 'pgqueue: past retention')
        order by attached, relname
    loop
        exit when dropped >= most;
        -- One at a time: who waited finds those gone that the other dropped.
        if past.attached then
            lock table :"schema".history in share update exclusive mode;
        end if;
        continue when pg_catalog.to_regclass(past.name) is null;
        execute pg_catalog.format('drop table %s', past.name);
        dropped := dropped + 1;
    end loop;
    return dropped;
end;
$body$;
