-- Schedules, and the record of what operators change.
-- breaking: no

-- One row for each schedule. `declared`: what code says of it, null where it is a row alone. `changed`:
-- what an operator said, which counts before that; both are objects with the same keys. Who fires it moves
-- next_at on in the statement that inserts the jobs. `revision` changes with each change of what is said,
-- so that nobody fires by what was said before. `fires`: the last twenty slots, the newest first.
create table :"schema".schedule (
    name        text primary key
        constraint schedule_name check (name <> '' and octet_length(name) <= 200),
    next_at     timestamptz not null,
    revision    bigint not null default 1,
    declared    jsonb,
    changed     jsonb,
    settings    jsonb not null
        generated always as (coalesce(declared, '{}') || coalesce(changed, '{}')) stored,
    paused_at   timestamptz,
    orphaned_at timestamptz,
    fired_at    timestamptz,
    fires       jsonb not null default '[]',
    changed_at  timestamptz,
    changed_by  text,
    constraint schedule_said check (declared is not null or changed is not null)
) with (fillfactor = 50);

-- The heartbeat of each worker reads its first entry.
create index schedule_due on :"schema".schedule (next_at, name)
    where paused_at is null and orphaned_at is null;

-- The schedules that the code of a worker declares. Such a schedule is fired by these workers alone.
alter table :"schema".worker add column schedules text[] not null default '{}';

-- Who changed what, written in the transaction that changed it. Rows are never changed.
create table :"schema".audit (
    id         bigint generated always as identity,
    at         timestamptz not null default clock_timestamp(),
    actor      text not null,
    via        text not null,
    action     text not null,
    target     jsonb not null,
    reason     text,
    changed    integer,
    request_id text,
    primary key (at, id)
);

-- Schedules for people and dashboards, without what users put into their jobs.
create view :"schema".schedules as
select name, next_at, paused_at, orphaned_at, fired_at, fires, changed_at, changed_by,
       declared is not null as in_code,
       (select count(*)
        from :"schema".worker
        where schedule.name = any (worker.schedules)) as declared_by,
       settings - '{args,metadata,unique_key}'::text[] as settings,
       declared - '{args,metadata,unique_key}'::text[] as declared,
       changed - '{args,metadata,unique_key}'::text[] as changed
from :"schema".schedule;
