-- pgqueue :id, as one statement. It begins and commits nothing, so it belongs to the transaction that it
-- runs in. It applies the migration and records it; where that was done before, it changes nothing. What runs
-- with its owner's rights since roles were made still does so afterwards, also where the migration replaces it.
do $pgqueue$
declare
    path constant pg_catalog.text := pg_catalog.current_setting('search_path');
    -- Null where there is no Citus.
    by_schema constant pg_catalog.text :=
        pg_catalog.current_setting('citus.enable_schema_based_sharding', true);
    propagates constant pg_catalog.text :=
        pg_catalog.current_setting('citus.enable_ddl_propagation', true);
    home constant pg_catalog.text := (pg_catalog.parse_ident(':"schema".migration'))[1];
    reached pg_catalog.int4;
    doors pg_catalog.oid[];
    door record;
begin
    perform pg_catalog.set_config('search_path', '', true);
    -- The tables are for the server that they are made on.
    perform pg_catalog.set_config('citus.enable_schema_based_sharding', 'off', true);
    perform pg_catalog.set_config('citus.enable_ddl_propagation', 'off', true);
    -- One at a time: who waited finds what the other has recorded.
    perform pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended(home, 7585774586302733));
    -- What a session has remembered of names may be from before the wait, until it reads a catalog. What
    -- a serializable transaction reads there is from before the wait always.
    if not exists (select from pg_catalog.pg_namespace where nspname = home)
       and pg_catalog.to_regnamespace(pg_catalog.quote_ident(home)) is null then
        create schema :"schema";
    end if;
    if pg_catalog.to_regclass(':"schema".migration') is null then
        create table :"schema".migration (
            version    integer primary key,
            name       text not null,
            breaking   boolean not null,
            applied_at timestamptz not null default statement_timestamp()
        );
    end if;
    -- The table's comment is there where a dump left its rows out.
    select coalesce(max(version), substring(
               pg_catalog.obj_description(':"schema".migration'::pg_catalog.regclass, 'pg_class')
               from '^pgqueue version ([0-9]+)$')::integer, 0)
    into reached
    from :"schema".migration;
    if reached < :version - 1 then
        raise exception 'pgqueue: :id comes after version %, and this schema is at %',
            :version - 1, reached using errcode = 'object_not_in_prerequisite_state';
    elsif reached < :version then
        -- A conflict is with a migrator that this transaction cannot see: an error of serialization.
        insert into :"schema".migration (version, name, breaking)
        values (:version, ':name', :breaking)
        on conflict do nothing;
        doors := array(select proc.oid from pg_catalog.pg_proc as proc
                            join pg_catalog.pg_namespace as space on space.oid = proc.pronamespace
                       where space.nspname = home and proc.prosecdef);
:commands
        for door in
            select proc.oid::pg_catalog.regprocedure as name, proc.proconfig is null as bare
            from pg_catalog.pg_proc as proc
            where proc.oid = any (doors) and not proc.prosecdef
        loop
            execute pg_catalog.format('alter function %s security definer', door.name)
                    || case when door.bare then ' set search_path = pg_catalog, pg_temp' else '' end;
        end loop;
        comment on table :"schema".migration is 'pgqueue version :version';
    end if;
    perform pg_catalog.set_config('citus.enable_schema_based_sharding', by_schema, true);
    perform pg_catalog.set_config('citus.enable_ddl_propagation', propagates, true);
    perform pg_catalog.set_config('search_path', path, true);
end;
$pgqueue$;
