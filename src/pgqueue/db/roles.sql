-- Roles for one queue, each with what it needs and no more. Run it as a superuser, or as the owner
-- of the schema if he may create roles; again after each migration, since a migration may make
-- functions and tables anew. All or nothing, and as often as you like.
begin;
set local search_path = pg_catalog, pg_temp;
set local client_min_messages = 'warning';

do $body$
declare
    name text;
begin
    foreach name in array array[:'producer', :'worker', :'operator', :'viewer'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
end;
$body$;

-- What runs with its owner's rights must not run with a superuser's: such a schema is given to a
-- role that owns it and nothing else. Migrate as that role from then on.
do $body$
declare
    thing record;
begin
    if not exists (select from pg_namespace join pg_roles on pg_roles.oid = nspowner
                   where nspname = :'schema' and rolsuper) then
        return;
    end if;
    if not exists (select from pg_roles where rolname = :'owner') then
        execute format('create role %I nologin', :'owner');
    end if;
    execute format('alter schema %I owner to %I', :'schema', :'owner');
    for thing in
        select case relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end as kind,
               pg_class.oid::regclass::text as name
        from pg_class
        where relnamespace = to_regnamespace(quote_ident(:'schema'))
          and relkind in ('r', 'p', 'v', 'S')
          -- The sequence of an identity column follows its table.
          and not exists (select from pg_depend
                          where classid = 'pg_class'::regclass and objid = pg_class.oid
                            and deptype = 'i' and relkind = 'S')
        union all
        select 'function', pg_proc.oid::regprocedure::text
        from pg_proc
        where pronamespace = to_regnamespace(quote_ident(:'schema'))
        union all
        select 'domain', pg_type.oid::regtype::text
        from pg_type
        where typnamespace = to_regnamespace(quote_ident(:'schema')) and typtype = 'd'
    loop
        execute format('alter %s %s owner to %I', thing.kind, thing.name, :'owner');
    end loop;
end;
$body$;

-- These are doors: whoever may call one needs no rights on what is behind it. They run as the
-- owner, with a search_path of their own in which nobody can put anything.
alter function :"schema".enqueue(jsonb) security definer;
alter function :"schema".enqueue_checked(jsonb) security definer;
alter function :"schema".enqueue_one(text, jsonb, text, integer, integer, boolean)
    security definer set search_path = pg_catalog, pg_temp;
alter function :"schema".enqueue_alike(text, jsonb, text, integer, integer) security definer;
alter function :"schema".enqueue_unique(jsonb) security definer;
alter function :"schema".forget_unique(integer) security definer;
alter function :"schema".find_full(jsonb) security definer set search_path = pg_catalog, pg_temp;
alter function :"schema".refuse_full(jsonb) security definer;
alter function :"schema".ensure_history(integer) security definer;
alter function :"schema".drop_history(interval, integer) security definer;
alter function :"schema".drop_audit(integer) security definer;
alter function :"schema".drop_usage(integer) security definer;
alter function :"schema".forget_keys(integer) security definer;

revoke all on schema :"schema" from public;
revoke all on all functions in schema :"schema"
    from public, :"producer", :"worker", :"operator", :"viewer";
revoke all on all tables in schema :"schema"
    from public, :"producer", :"worker", :"operator", :"viewer";
revoke all on all sequences in schema :"schema"
    from public, :"producer", :"worker", :"operator", :"viewer";
grant usage on schema :"schema" to :"producer", :"worker", :"operator", :"viewer";
grant select on :"schema".migration to :"producer", :"worker", :"operator", :"viewer";

-- They see which database the schema was made for, and what a restore has left out; the owner mends it.
grant select on :"schema".home to :"worker", :"operator", :"viewer";
grant execute on function :"schema".here() to :"worker", :"operator", :"viewer";
grant select on :"schema".duty, :"schema".job_id_seq, :"schema".position_seq
    to :"worker", :"operator", :"viewer";

-- The producer enqueues, and sees nothing of what is in the queue.
grant execute on function :"schema".enqueue(jsonb), :"schema".enqueue_checked(jsonb),
    :"schema".enqueue_one(text, jsonb, text, integer, integer, boolean),
    :"schema".enqueue_alike(text, jsonb, text, integer, integer), :"schema".enqueue_unique(jsonb),
    :"schema".find_full(jsonb), :"schema".refuse_full(jsonb) to :"producer", :"worker";

-- Through this door a job is put in, and nothing is seen: the view has no rows.
grant insert (task, args, queue, priority, max_attempts), select (id) on :"schema".new_job
    to :"producer", :"worker";
grant usage on sequence :"schema".position_seq to :"producer";

-- The worker claims, finishes and rescues; its tasks enqueue. Of a job it cannot change what is to
-- be done, nor read the arguments of one that is over.
grant select, delete, update (position, run_at, claimed_at, worker_id, claim_token, attempt,
                              crash_count, quarantined, errors, began_at, unique_key, rank)
    on :"schema".job to :"worker";
grant insert, select (id, claim_token, queue, task, worker_id)
    on :"schema".history, :"schema".dead to :"worker";
grant select, insert, update, delete on :"schema".worker to :"worker";
grant select, insert (name, declared), update (waiting, declared, full_at, depth) on :"schema".queue to :"worker";
grant select, insert, update on :"schema".turn to :"worker";
grant select, update (due_at) on :"schema".duty to :"worker";
grant select, insert, update on :"schema".schedule to :"worker";
grant insert on :"schema".audit to :"worker", :"operator";

-- It vacuums the table of jobs. Before PostgreSQL 17 only the owner can: there autovacuum does it alone.
do $body$
begin
    if current_setting('server_version_num')::integer >= 170000 then
        execute format('grant maintain on table %I.job to %I', :'schema', :'worker');
    end if;
end;
$body$;

-- It takes permits and tokens of queues with limits.
grant select, insert, update, delete on :"schema".permit, :"schema".limiter, :"schema".queue_tokens to :"worker";
grant execute on function :"schema".lock_limits(text), :"schema".wake_permits(text, bigint),
    :"schema".take_permits(text, bigint, integer, integer), :"schema".take_tokens(text, integer, integer) to :"worker";

-- It admits jobs of flows, and declares the flows of its code.
grant select, insert, update on :"schema".flow, :"schema".flow_key, :"schema".flow_usage to :"worker";
grant select, insert, update, delete on :"schema".line, :"schema".ticket to :"worker";
grant select on sequence :"schema".ticket_id_seq to :"worker";
grant execute on function :"schema".admit(text, integer, bigint, bigint, timestamptz),
    :"schema".withdraw(text), :"schema".flow_changed(text, jsonb), :"schema".heal_lines(),
    :"schema".wake_flows(text[], text[]), :"schema".next_rank(text, integer, timestamptz)
    to :"worker";

grant select, usage on sequence :"schema".position_seq to :"worker";
grant execute on function :"schema".channel(), :"schema".notify(text), :"schema".call(text), :"schema".wake(text[]),
    :"schema".ensure_history(integer), :"schema".drop_history(interval, integer),
    :"schema".drop_audit(integer), :"schema".drop_usage(integer), :"schema".forget_unique(integer),
    :"schema".forget_keys(integer) to :"worker";

-- The operator looks at everything, cancels, retries, redrives, purges, pauses queues, and changes flows and
-- schedules.
-- Retry and redrive put a job back under its id: so an operator can put in any job, as one that waits. What
-- is noted of operators' changes they can add to, and not change.
grant select, delete, update (position, run_at, cancel_requested),
      insert (id, position, run_at, enqueued_at, max_attempts, timeout_seconds, priority, queue, task,
              args, unique_key, tags, metadata, errors, flow, flow_key, rank, weight),
      update (rank)
    on :"schema".job to :"operator";
grant select, insert, delete, update (state) on :"schema".history to :"operator";
grant select, delete, update (reason) on :"schema".dead to :"operator";
grant select, insert, update (paused_at, changed, changed_at, changed_by, full_at) on :"schema".queue to :"operator";
grant select on :"schema".jobs, :"schema".worker, :"schema".schedules, :"schema".audit, :"schema".permit,
    :"schema".queue_tokens to :"operator";
grant select, insert, update, delete on :"schema".schedule to :"operator";
grant execute on function :"schema".enqueue_checked(jsonb), :"schema".enqueue_unique(jsonb) to :"operator";

-- It sets the limits of flows, and pauses them and their keys.
grant select, insert (name), update (changed, paused_at, held_until, tat, first_rank, changed_at, changed_by)
    on :"schema".flow to :"operator";
grant select, insert, update on :"schema".flow_key to :"operator";
grant select, update (turn, tat) on :"schema".line to :"operator";
grant select, insert on :"schema".ticket to :"operator";
grant select on :"schema".flow_usage to :"operator";
grant execute on function :"schema".flow_changed(text, jsonb), :"schema".withdraw(text),
    :"schema".wake_flows(text[], text[]), :"schema".next_rank(text, integer, timestamptz)
    to :"operator";

grant usage on sequence :"schema".position_seq to :"operator";
grant execute on function :"schema".channel(), :"schema".notify(text), :"schema".call(text), :"schema".wake(text[]),
    :"schema".ensure_history(integer) to :"operator";
grant execute on function :"schema".readable(timestamptz) to :"operator", :"viewer";

-- The viewer sees jobs, queues and workers, and nothing that users put into a job but its queue,
-- task, tags and flow: not args, metadata, results or unique keys, nor errors, which may quote them,
-- nor the keys of flows, which are made of args.
grant select (id, state, queue, task, priority, run_at, enqueued_at, claimed_at, finished_at,
              attempt, max_attempts, crash_count, timeout_seconds, tags, worker_id,
              expires_at, flow, weight)
    on :"schema".jobs to :"viewer";
grant select (id, position, run_at, enqueued_at, claimed_at, worker_id, attempt, max_attempts,
              timeout_seconds, priority, crash_count, cancel_requested, queue, task, tags,
              expires_at, flow, rank, weight)
    on :"schema".job to :"viewer";
grant select (id, state, finished_at, queue, task) on :"schema".history to :"viewer";
grant select (id, finished_at, queue, task) on :"schema".dead to :"viewer";
grant select on :"schema".queue, :"schema".worker, :"schema".schedules, :"schema".flow, :"schema".permit,
    :"schema".queue_tokens to :"viewer";
grant select (flow, paused_at, held_until) on :"schema".flow_key to :"viewer";
commit;
