-- What the checker looks at, beside what the processes say of themselves. Installed by the campaign
-- only; triggers are for statements, so that a batch of a thousand jobs costs one insert.

create schema chaos;

-- Every version of every job, in the order in which they came about: a job's row is locked from its
-- change to the commit, so the order of seq is that of its versions.
-- op: i, u, d into job, change, out of it; h, H into and out of history; x, X of dead.
create table chaos.audit (
    seq      bigint generated always as identity (cache 1),
    at       timestamptz not null default clock_timestamp(),
    xid      xid8 not null default pg_current_xact_id(),
    op       "char" not null,
    job      bigint not null,
    worker   bigint,
    token    bigint,
    position bigint,
    attempt  integer not null,
    crashes  smallint not null,
    errors   smallint,
    cancel   boolean,
    run_at   timestamptz,
    key      bigint,
    ukey     text,
    task     text,
    state    text,
    flow     text,
    fkey     text,
    admits   boolean  -- the change was made by an admission
);

-- A handler's own writes: in the transaction that completes its job, and outside of any.
create table chaos.effect_tx (job bigint not null, token bigint not null, at timestamptz not null default clock_timestamp());
create table chaos.effect_ext (job bigint not null, token bigint not null, at timestamptz not null default clock_timestamp());
-- What a producer writes in the transaction in which it enqueues.
create table chaos.caller (key bigint not null);

-- Every version of every schedule, in the order in which they came about; the slot of each job that one
-- made, null where somebody asked for it. op: i, u, d.
create table chaos.schedule (
    seq      bigint generated always as identity (cache 1),
    at       timestamptz not null default clock_timestamp(),
    xid      xid8 not null default pg_current_xact_id(),
    op       "char" not null,
    name     text not null,
    next_at  timestamptz not null,
    fired_at timestamptz,
    paused   boolean not null,
    settings jsonb not null
);
create table chaos.slot (xid xid8 not null default pg_current_xact_id(), job bigint not null, name text not null, slot timestamptz);

-- Every version of what holds for each flow, in one order with those of the jobs.
create table chaos.flow (
    seq      bigint not null default nextval('chaos.audit_seq_seq'),
    name     text not null,
    settings jsonb not null
);

-- Every version of a worker's permits, in the order in which they came about, with the limit that counted
-- then; no queue: the worker is off the list. The rate that counted when somebody took tokens.
create table chaos.permit (
    seq    bigint not null default nextval('chaos.audit_seq_seq'),
    at     timestamptz not null default clock_timestamp(),
    queue  text,
    worker bigint not null,
    n      integer not null,
    most   integer
);
create table chaos.token (
    seq   bigint not null default nextval('chaos.audit_seq_seq'),
    at    timestamptz not null default clock_timestamp(),
    queue text not null,
    rate  float8,
    burst integer
);

create function chaos.permit_changed() returns trigger language plpgsql set search_path = '' as $$
declare
    one pgqueue.permit := coalesce(new, old);
begin
    insert into chaos.permit (queue, worker, n, most)
    select one.queue, one.worker_id, case when tg_op = 'DELETE' then 0 else one.n end,
           (select (settings ->> 'concurrency')::integer from pgqueue.queue where name = one.queue);
    return null;
end $$;

create function chaos.worker_out() returns trigger language plpgsql set search_path = '' as $$
begin
    insert into chaos.permit (worker, n) values (old.id, 0);
    return null;
end $$;

create function chaos.token_taken() returns trigger language plpgsql set search_path = '' as $$
begin
    insert into chaos.token (queue, rate, burst)
    select name, (settings ->> 'rate')::float8, (settings ->> 'burst')::integer
    from pgqueue.queue where name = new.queue;
    return null;
end $$;

create function chaos.flow_changed() returns trigger language plpgsql set search_path = '' as $$
begin
    insert into chaos.flow (name, settings)
    select name, settings from pgqueue.flow where name = new.name;
    return null;
end $$;

create function chaos.job_in() returns trigger language plpgsql set search_path = '' as $$
begin
    insert into chaos.audit (op, job, worker, token, position, attempt, crashes, errors, cancel, run_at, key, ukey, task, flow, fkey)
    select 'i', id, worker_id, claim_token, position, attempt, crash_count,
           coalesce(jsonb_array_length(errors), 0), cancel_requested, run_at,
           (args ->> 'k')::bigint, args ->> 'u', task, flow, flow_key
    from fresh;
    insert into chaos.slot (job, name, slot)
    select id, metadata ->> 'schedule', (metadata ->> 'slot')::timestamptz
    from fresh where metadata ? 'schedule';
    return null;
end $$;

create function chaos.schedule_changed() returns trigger language plpgsql set search_path = '' as $$
declare
    one pgqueue.schedule := coalesce(new, old);
begin
    insert into chaos.schedule (op, name, next_at, fired_at, paused, settings)
    values (lower(left(tg_op, 1)), one.name, one.next_at, one.fired_at, one.paused_at is not null, one.settings);
    return null;
end $$;

create function chaos.job_changed() returns trigger language plpgsql set search_path = '' as $$
declare
    stack text;
begin
    get diagnostics stack = pg_context;
    insert into chaos.audit (op, job, worker, token, position, attempt, crashes, errors, cancel, run_at, state,
                             flow, fkey, admits)
    select 'u', id, worker_id, claim_token, position, attempt, crash_count,
           coalesce(jsonb_array_length(errors), 0), cancel_requested, run_at,
           case when quarantined then 'quarantined'
                when crash_count > 0 and claim_token is null then errors -> -1 ->> 'message' end,
           flow, flow_key, stack ~ '\madmit\('
    from fresh;
    return null;
end $$;

create function chaos.job_out() returns trigger language plpgsql set search_path = '' as $$
begin
    insert into chaos.audit (op, job, worker, token, position, attempt, crashes, errors, cancel)
    select 'd', id, worker_id, claim_token, position, attempt, crash_count,
           coalesce(jsonb_array_length(errors), 0), cancel_requested
    from stale;
    return null;
end $$;

create function chaos.history_in() returns trigger language plpgsql set search_path = '' as $$
begin
    insert into chaos.audit (op, job, worker, token, attempt, crashes, state)
    select 'h', id, worker_id, claim_token, attempt, crash_count, state from fresh;
    return null;
end $$;

create function chaos.history_out() returns trigger language plpgsql set search_path = '' as $$
begin
    insert into chaos.audit (op, job, worker, token, attempt, crashes, state)
    select 'H', id, worker_id, claim_token, attempt, crash_count, state from stale;
    return null;
end $$;

create function chaos.dead_in() returns trigger language plpgsql set search_path = '' as $$
begin
    insert into chaos.audit (op, job, worker, token, attempt, crashes, state)
    select 'x', id, worker_id, claim_token, attempt, crash_count, reason from fresh;
    return null;
end $$;

create function chaos.dead_out() returns trigger language plpgsql set search_path = '' as $$
begin
    insert into chaos.audit (op, job, worker, token, attempt, crashes, state)
    select 'X', id, worker_id, claim_token, attempt, crash_count, reason from stale;
    return null;
end $$;

create trigger chaos_in after insert on pgqueue.job referencing new table as fresh
    for each statement execute function chaos.job_in();
create trigger chaos_changed after update on pgqueue.job referencing new table as fresh
    for each statement execute function chaos.job_changed();
create trigger chaos_out after delete on pgqueue.job referencing old table as stale
    for each statement execute function chaos.job_out();
create trigger chaos_changed after insert or update or delete on pgqueue.schedule
    for each row execute function chaos.schedule_changed();
create trigger chaos_changed after insert or update of declared, changed on pgqueue.flow
    for each row execute function chaos.flow_changed();
create trigger chaos_changed after insert or update or delete on pgqueue.permit
    for each row execute function chaos.permit_changed();
create trigger chaos_out after delete on pgqueue.worker
    for each row execute function chaos.worker_out();
create trigger chaos_changed after insert or update on pgqueue.queue_tokens
    for each row execute function chaos.token_taken();
create trigger chaos_in after insert on pgqueue.history referencing new table as fresh
    for each statement execute function chaos.history_in();
create trigger chaos_out after delete on pgqueue.history referencing old table as stale
    for each statement execute function chaos.history_out();
create trigger chaos_in after insert on pgqueue.dead referencing new table as fresh
    for each statement execute function chaos.dead_in();
create trigger chaos_out after delete on pgqueue.dead referencing old table as stale
    for each statement execute function chaos.dead_out();
