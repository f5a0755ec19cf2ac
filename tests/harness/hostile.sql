-- Traps: a schema with functions, operators and tables of the names that our statements use. Each
-- works as the right one does, and says in the server's log that it was called, and by what; so it
-- does in a transaction that only reads, or that is rolled back.
-- The schema is put in for "trap", and a condition on current_query() and so on for "guilty".
create schema if not exists :trap;
grant usage on schema :trap to public;

create function :trap.caught(what text) returns void language plpgsql set search_path = pg_catalog
as $caught$
begin
    if :guilty then
        raise log 'CAUGHT % in % %', what, current_setting('application_name'),
            regexp_replace(current_query(), '\s+', ' ', 'g');
    end if;
end
$caught$;

do $make$
declare
    one record;
    names text;
    call text;
begin
    set local search_path = pg_catalog;
    -- Functions of the same name and arguments, wherever one has no pseudo-type among them; those
    -- that have one get a twin for each of these types, which fits better than the right one.
    for one in
        with twin (pseudo, actual) as (values
            ('anyarray', 'bigint[]'), ('anyarray', 'text[]'), ('anyarray', 'integer[]'),
            ('anyarray', 'boolean[]'), ('anyarray', 'float8[]'), ('anyarray', 'jsonb[]'),
            ('anyelement', 'bigint'), ('"any"', 'bigint'), ('"any"', 'jsonb'), ('"any"', 'text[]'))
        select distinct proname,
               case when pseudo is null then pg_get_function_identity_arguments(p.oid)
                    else actual end as arguments,
               case when pseudo is null then pg_get_function_result(p.oid)
                    else replace(replace(pg_get_function_result(p.oid), 'anyelement',
                                         replace(actual, '[]', '')), 'anyarray', actual)
               end as result, pronargs, proretset
        from pg_proc as p
             left join twin on pronargs = 1 and pg_get_function_identity_arguments(p.oid) = pseudo
        where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f' and provariadic = 0
          and proname in ('now', 'statement_timestamp', 'clock_timestamp', 'set_config', 'unnest',
              'cardinality', 'array_length', 'jsonb_array_length', 'jsonb_build_object', 'lower',
              'strpos', 'make_interval', 'greatest', 'generate_series', 'pg_notify', 'nextval',
              'jsonb_typeof', 'octet_length', 'pg_stat_get_live_tuples', 'to_regclass', 'age',
              'pg_backend_pid', 'pg_postmaster_start_time', 'pg_current_snapshot', 'extract',
              'pg_snapshot_xmin', 'pg_snapshot_xmax', 'hashtextextended', 'pg_column_size',
              'jsonb_array_elements', 'pg_advisory_xact_lock', 'array_position', 'to_char',
              'to_date', 'array_to_string', 'quote_ident', 'pg_current_xact_id')
          and (pseudo is not null or not exists (
              select from unnest(proargtypes) as a join pg_type on pg_type.oid = a
              where typtype = 'p'))
    loop
        names := (select string_agg('$' || n, ', ') from generate_series(1, one.pronargs) as n);
        call := format('pg_catalog.%I(%s)', one.proname, coalesce(names, ''));
        if one.result = 'SETOF record' or one.result like 'TABLE%' then continue; end if;
        execute format(
            'create function :trap.%I(%s) returns %s language plpgsql set search_path = pg_catalog'
            ' as $f$ begin perform :trap.caught(%L); %s end $f$',
            one.proname, one.arguments, one.result, one.proname || '(' || one.arguments || ')',
            case when one.proretset then 'return query select * from ' || call || ';'
                 when one.result = 'void' then 'perform ' || call || ';'
                 else 'return ' || call || ';' end);
    end loop;
    -- Operators on what our columns hold. Not on what the catalogue holds, which our driver compares
    -- by the thousand when it meets a type.
    for one in
        select oprname, oprleft::regtype::text as l, oprright::regtype::text as r,
               oprresult::regtype::text as result,
               row_number() over (order by oid) as n
        from pg_operator
        where oprnamespace = 'pg_catalog'::regnamespace and oprleft <> 0
          and oprname in ('=', '<>', '<', '<=', '>', '>=', '+', '-', '||', '@>', '->', '->>', '?',
                          '?|', '@?', '~', '*', '/')
          and oprleft in (20, 21, 23, 25, 1184, 3802, 700, 701, 1186, 16, 1700)
          and oprright in (20, 21, 23, 25, 1184, 3802, 700, 701, 1186, 16, 1009, 1700, 4072)
    loop
        execute format(
            'create function :trap.op%s(%s, %s) returns %s language plpgsql'
            ' set search_path = pg_catalog'
            ' as $f$ begin perform :trap.caught(%L); return $1 operator(pg_catalog.%s) $2; end $f$',
            one.n, one.l, one.r, one.result, format('%s %s %s', one.l, one.oprname, one.r),
            one.oprname);
        execute format('create operator :trap.%s (leftarg = %s, rightarg = %s, function = :trap.op%s)',
                       one.oprname, one.l, one.r, one.n);
    end loop;
end
$make$;

-- Operators that fit better than those on any type.
create function :trap.glue(text, bigint) returns text language plpgsql
as $$ begin perform :trap.caught('text || bigint'); return $1 operator(pg_catalog.||) $2; end $$;
create operator :trap.|| (leftarg = text, rightarg = bigint, function = :trap.glue);
create function :trap.same(bigint[], bigint[]) returns boolean language plpgsql
as $$ begin perform :trap.caught('bigint[] = bigint[]'); return $1 operator(pg_catalog.=) $2; end $$;
create operator :trap.= (leftarg = bigint[], rightarg = bigint[], function = :trap.same);

create function :trap.step(bigint) returns bigint language plpgsql
as $$ begin perform :trap.caught('count(*)'); return $1 operator(pg_catalog.+) 1; end $$;
create aggregate :trap.count(*) (sfunc = :trap.step, stype = bigint, initcond = '0');
create function :trap.gather(bigint[], bigint) returns bigint[] language plpgsql
as $$ begin perform :trap.caught('array_agg(bigint)'); return pg_catalog.array_append($1, $2); end $$;
create aggregate :trap.array_agg(bigint) (sfunc = :trap.gather, stype = bigint[]);

-- Tables of the names that ours have: what were read from or written to one would be missed.
create table if not exists :trap.job (id bigint, task text);
create table if not exists :trap.history (id bigint);
create table if not exists :trap.dead (id bigint);
create table if not exists :trap.worker (id bigint);
create table if not exists :trap.queue (name text);
create table if not exists :trap.migration (version integer, name text, breaking boolean);
grant execute on all functions in schema :trap to public;
