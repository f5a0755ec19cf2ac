-- Flows: limits, rates and turns of keys.
-- breaking: no

create domain :"schema".flow_name as text
    constraint job_flow check (value <> '' and octet_length(value) <= 100);
-- Empty: the flow has no keys.
create domain :"schema".flow_key_name as text
    constraint job_flow_key check (octet_length(value) <= 200);
-- How many tokens of a rate a job takes.
create domain :"schema".job_weight as integer
    constraint job_weight check (value between 1 and 1000000);

-- rank: the place in the line of its key, the lowest first. Negative or null: it is not in line, since it is
-- due later, and keeps its old place or has none yet. A job of a flow has no position until it is admitted.
alter table :"schema".job
    add column flow :"schema".flow_name,
    add column flow_key :"schema".flow_key_name,
    add column rank bigint,
    add column weight :"schema".job_weight;
alter table :"schema".history
    add column flow text,
    add column flow_key text,
    add column weight integer;
alter table :"schema".dead
    add column flow text,
    add column flow_key text,
    add column rank bigint,
    add column weight integer;

-- In line. A claim changes no column of this index or of the next one, so that it stays a HOT update.
create index job_line on :"schema".job (flow, flow_key, rank)
    where flow is not null and position is null and rank > 0;
-- Admitted: ready or running. These rows are what a limit counts.
create index job_admitted on :"schema".job (flow, position)
    where flow is not null and position is not null;

-- One row for each flow. declared, changed, settings: as schedule has them. held_until: until then none of its
-- jobs is admitted, since a server asked for a break. tat: when the tokens of its rate are full again. first_rank:
-- in an ordered flow the ranks of new jobs are above it, and those of jobs from before it was ordered below.
create table :"schema".flow (
    name       text primary key,
    declared   jsonb,
    changed    jsonb,
    settings   jsonb not null
        generated always as (coalesce(declared, '{}') || coalesce(changed, '{}')) stored,
    paused_at  timestamptz,
    held_until timestamptz,
    tat        timestamptz not null default 'epoch',
    first_rank bigint not null default 0,
    changed_at timestamptz,
    changed_by text,
    constraint flow_name check (name <> '' and octet_length(name) <= 100)
) with (fillfactor = 50);

-- Keys that somebody treats differently from others of their flow, and keys that stand still.
create table :"schema".flow_key (
    flow         text not null,
    key          text not null,
    concurrency  integer,
    weight       real,
    paused_at    timestamptz,
    pause_reason text,
    held_until   timestamptz,
    changed_at   timestamptz,
    changed_by   text,
    primary key (flow, key),
    constraint flow_key_concurrency check (concurrency >= 0),
    constraint flow_key_weight check (weight > 0 and weight < 'infinity')
);

-- Keys with jobs in line. turn: when its turn comes, in virtual time; infinity: it stands at its limit, and a
-- ticket will say when it does not. head: all jobs up to this rank were admitted. One row for each key, and
-- changed by admissions alone, of which there is one of a flow at a time. No unique index: its check would
-- visit all dead versions of a key while somebody holds a snapshot. tat: as in flow, for the rate of the key.
create table :"schema".line (
    flow      text not null,
    key       text not null,
    turn      timestamptz not null,
    head      bigint not null,
    served_at timestamptz not null,
    tat       timestamptz not null
) with (fillfactor = 50);
create index line_turn on :"schema".line (flow, turn);
create index line_key on :"schema".line (flow, key, turn);

-- "Look at this key". Written by what puts a job in line, or ends an admitted one, in the same statement;
-- deleted by the admission that acts on it. used: the tokens that a job used, of which it had paid its weight;
-- held_until: the key, or the whole flow, admits nothing until then.
create table :"schema".ticket (
    id         bigint generated always as identity,
    flow       text not null,
    key        text not null,
    rank       bigint,
    used       float8,
    weight     integer,
    held_until timestamptz,
    holds_flow boolean
);
create index ticket_flow on :"schema".ticket (flow, id);
-- As history: a publication of all tables refuses deletes otherwise.
alter table :"schema".line replica identity full;
alter table :"schema".ticket replica identity full;

-- What the jobs of a key used in a day (UTC), where they say so.
create table :"schema".flow_usage (
    flow text not null,
    key  text not null,
    day  date not null,
    jobs bigint not null,
    used float8 not null,
    primary key (flow, key, day)
);
create index flow_usage_day on :"schema".flow_usage (day);

-- A worker that knows flows writes tickets. A flow is declared only once all workers do.
alter table :"schema".worker add column knows_flows boolean not null default false;

create or replace view :"schema".jobs as
select id,
       case
           when worker_id is not null then 'running'
           when position is not null then 'pending'
           when run_at = 'infinity' then 'blocked'
           else 'scheduled'
       end as state,
       -- As the other two have them: a union of different types is read and sorted as a whole.
       queue::text, task::text, args::jsonb, priority::smallint, run_at, enqueued_at, claimed_at,
       null::timestamptz as finished_at,
       attempt, max_attempts::integer, crash_count, timeout_seconds::real, unique_key::text,
       tags::text[], metadata::jsonb, errors::jsonb, worker_id, expires_at, null::text as reason,
       flow::text, flow_key::text, weight::integer
from :"schema".job
union all
select id, state, queue, task, args, priority, run_at, enqueued_at, claimed_at, finished_at,
       attempt, max_attempts, crash_count, timeout_seconds, unique_key, tags, metadata, errors,
       worker_id, expires_at, null::text, flow, flow_key, weight
from :"schema".history
union all
select id, 'dead', queue, task, args, priority, run_at, enqueued_at, claimed_at, finished_at,
       attempt, max_attempts, crash_count, timeout_seconds, unique_key, tags, metadata, errors,
       worker_id, expires_at, reason, flow, flow_key, weight
from :"schema".dead;

-- A new place in line. In an ordered flow the order of the calls; in one of which nothing is said yet as well,
-- since it may be declared as ordered later. Else the time, so that a priority is a head start of a minute, and
-- no job waits for ever behind later ones of higher priority.
create function :"schema".next_rank(flow text, priority integer, this_moment timestamptz)
returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $body$
declare
    above bigint;
    by_time boolean;
begin
    select lane.first_rank,
           coalesce(lane.declared, lane.changed) is not null and not lane.settings @> '{"ordered": true}'
      into above, by_time
    from :"schema".flow as lane
    where lane.name = $1;
    if by_time is not true then
        return coalesce(above, 0) + nextval(':"schema".position_seq'::regclass);
    end if;
    return ((extract(epoch from $3) * 1000)::bigint + $2 * 60000) << 21
           | (nextval(':"schema".position_seq'::regclass) & 2097151);
end;
$body$;

-- Tells workers that jobs of these flows came in line, where one waits for these queues.
create function :"schema".wake_flows(flows text[], queues text[]) returns void
language sql volatile set search_path = ''
begin atomic
    select :"schema".notify('f:' || flow)
    from (select distinct told.flow
          from unnest(flows, queues) as told (flow, queue)
               join :"schema".queue on queue.name = told.queue
          where queue.waiting and told.flow is not null) as waited_for;
end;

-- As in the first migration; a job of a flow is put in line.
create or replace function :"schema".enqueue_each(jobs jsonb, this_moment timestamptz)
returns table (id bigint, duplicate boolean, state text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    doc record;
    one record;
    ids bigint[];
    duplicates boolean[];
    states text[];
begin
    for doc in
        select job.*
        from (
            select job.*, due.run_at as due,
                   job.flow is not null and due.run_at <= this_moment as in_line,
                   case when due.run_at <= this_moment and job.flow is null
                        then pg_catalog.nextval(':"schema".position_seq'::pg_catalog.regclass)
                   end as position,
                   case when due.run_at <= this_moment and job.flow is not null
                        then :"schema".next_rank(job.flow, coalesce(job.priority, 5), this_moment)
                   end as rank
            from rows from (pg_catalog.jsonb_to_recordset(jobs)
                            as (task text, args jsonb, queue text, priority smallint,
                                run_at timestamptz, delay float8, max_attempts integer,
                                timeout real, unique_key text, tags text[], metadata jsonb,
                                expires jsonb, flow text, flow_key text, weight integer))
                 with ordinality
                 as job(task, args, queue, priority, run_at, delay, max_attempts, timeout,
                        unique_key, tags, metadata, expires, flow, flow_key, weight, n)
                 cross join lateral (
                     select coalesce(job.run_at,
                                     this_moment + pg_catalog.make_interval(secs => job.delay),
                                     this_moment):::"schema".moment as run_at
                 ) as due
        ) as job
        order by job.unique_key collate "C" nulls first, job.n
    loop
        for round in 1..101 loop
            if round > 100 then
                raise exception 'pgqueue: a unique key changed hands 100 times while its job was enqueued'
                    using errcode = 'serialization_failure';
            end if;
            insert into :"schema".job as j (position, run_at, enqueued_at, max_attempts,
                                            timeout_seconds, priority, queue, task, args,
                                            unique_key, tags, metadata, expires_at, flow, flow_key,
                                            rank, weight)
            values (
                doc.position, case when doc.in_line then 'infinity' else doc.due end, this_moment,
                coalesce(doc.max_attempts, 25), doc.timeout,
                coalesce(doc.priority, 5), coalesce(doc.queue, 'default'), doc.task,
                coalesce(doc.args, '{}'), doc.unique_key, doc.tags, doc.metadata,
                :"schema".until(doc.expires, this_moment), doc.flow,
                case when doc.flow is not null then coalesce(doc.flow_key, '') end, doc.rank,
                case when doc.flow is not null then doc.weight end)
            on conflict (unique_key) where unique_key is not null do nothing
            returning j.id, j.position, j.worker_id, j.run_at, false as duplicate into one;
            if found and doc.in_line then
                insert into :"schema".ticket (flow, key, rank)
                values (doc.flow, coalesce(doc.flow_key, ''), doc.rank);
                exit;
            end if;
            exit when found;
            -- The newest: above READ COMMITTED, one that ended meanwhile is seen beside one of ours.
            with live as materialized (
                select j.id, j.position, j.worker_id, j.run_at
                from :"schema".job as j
                where j.unique_key = doc.unique_key
            )
            select live.id, live.position, live.worker_id, live.run_at, true as duplicate into one
            from live
            order by live.id desc
            limit 1;
            exit when found;
        end loop;
        ids[doc.n] := one.id;
        duplicates[doc.n] := one.duplicate;
        states[doc.n] := case when one.worker_id is not null then 'running'
                              when one.position is not null then 'pending'
                              when one.run_at = 'infinity' then 'blocked'
                              else 'scheduled' end;
    end loop;
    return query select * from unnest(ids, duplicates, states);
end;
$body$;

-- As in the first migration; a job of a flow is put in line.
create or replace function :"schema".enqueue_keyed(jobs jsonb, this_moment timestamptz)
returns table (id bigint, duplicate boolean, state text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    size constant integer := pg_catalog.jsonb_array_length(jobs);
    new_ids constant bigint[] := array(
        select pg_catalog.nextval(':"schema".job_id_seq'::pg_catalog.regclass)
        from pg_catalog.generate_series(1, size));
    ids bigint[];
    duplicates boolean[];
    states text[];
begin
    begin
        insert into :"schema".job as j (id, position, run_at, enqueued_at, max_attempts,
                                        timeout_seconds, priority, queue, task, args, unique_key,
                                        tags, metadata, expires_at, flow, flow_key, rank, weight)
        select new_ids[doc.n], doc.position,
               case when doc.rank is not null then 'infinity' else doc.due end, this_moment,
               coalesce(doc.max_attempts, 25), doc.timeout, coalesce(doc.priority, 5),
               coalesce(doc.queue, 'default'), doc.task, coalesce(doc.args, '{}'), doc.unique_key,
               doc.tags, doc.metadata, :"schema".until(doc.expires, this_moment), doc.flow,
               case when doc.flow is not null then coalesce(doc.flow_key, '') end, doc.rank,
               case when doc.flow is not null then doc.weight end
        from (
            select doc.*, due.run_at as due,
                   case when due.run_at <= this_moment and doc.flow is null
                        then pg_catalog.nextval(':"schema".position_seq'::pg_catalog.regclass)
                   end as position,
                   case when due.run_at <= this_moment and doc.flow is not null
                        then :"schema".next_rank(doc.flow, coalesce(doc.priority, 5), this_moment)
                   end as rank
            from rows from (pg_catalog.jsonb_to_recordset(jobs)
                            as (task text, args jsonb, queue text, priority smallint,
                                run_at timestamptz, delay float8, max_attempts integer,
                                timeout real, unique_key text, tags text[], metadata jsonb,
                                expires jsonb, flow text, flow_key text, weight integer))
                 with ordinality
                 as doc(task, args, queue, priority, run_at, delay, max_attempts, timeout,
                        unique_key, tags, metadata, expires, flow, flow_key, weight, n)
                 cross join lateral (
                     select coalesce(doc.run_at,
                                     this_moment + pg_catalog.make_interval(secs => doc.delay),
                                     this_moment):::"schema".moment as run_at
                 ) as due
        ) as doc
        order by doc.unique_key collate "C" nulls first, doc.n
        on conflict (unique_key) where unique_key is not null do nothing;

        select array_agg(coalesce(mine.id, other.id) order by doc.n),
               array_agg(mine.id is null order by doc.n),
               array_agg(case when coalesce(mine.worker_id, other.worker_id) is not null then 'running'
                              when coalesce(mine.position, other.position) is not null then 'pending'
                              when coalesce(mine.run_at, other.run_at) = 'infinity' then 'blocked'
                              else 'scheduled' end order by doc.n)
          into ids, duplicates, states
        from pg_catalog.jsonb_array_elements(jobs) with ordinality as doc(body, n)
             -- With = any (array[...]) each document probes the primary key: see finish_jobs. With = alone, a plan
             -- that was made for a table of one row reads all of it.
             left join :"schema".job as mine on mine.id = any (array[new_ids[doc.n]])
             -- The newest: above READ COMMITTED, one that ended meanwhile is seen beside one of ours.
             -- Apart, or a plan made for a table of few rows reads the primary key backwards.
             left join lateral (
                 with live as materialized (
                     select job.id, job.worker_id, job.position, job.run_at
                     from :"schema".job
                     where mine.id is null and job.unique_key = doc.body ->> 'unique_key'
                 )
                 select live.id, live.worker_id, live.position, live.run_at
                 from live
                 order by live.id desc
                 limit 1
             ) as other on true;

        if pg_catalog.array_position(ids, null) is null then
            if jobs @? '$[*].flow ? (@ != null)' then
                insert into :"schema".ticket (flow, key, rank)
                select job.flow, job.flow_key, min(job.rank)
                from unnest(new_ids) as mine (id)
                     join :"schema".job on job.id = any (array[mine.id])
                where job.flow is not null and job.rank is not null
                group by job.flow, job.flow_key;
            end if;
            return query select * from unnest(ids, duplicates, states);
            return;
        end if;
        raise exception 'pgqueue: a unique key changed hands' using errcode = 'PQ001';
    exception when sqlstate 'PQ001' then
        null;
    end;
    return query
    select one.id, one.duplicate, one.state
    from :"schema".enqueue_each(jobs, this_moment) as one;
end;
$body$;

-- Enqueues jobs of which some have a flow, and none has a unique key: in one statement, with one ticket for
-- each key. It locks nothing.
create function :"schema".enqueue_flows(jobs jsonb, this_moment timestamptz)
returns table (id bigint, duplicate boolean, state text)
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $body$
begin
    return query
    with made as (
        insert into :"schema".job as j (position, run_at, enqueued_at, max_attempts, timeout_seconds,
                                        priority, queue, task, args, tags, metadata, expires_at, flow,
                                        flow_key, rank, weight)
        select case when due.run_at <= this_moment and doc.flow is null
                    then pg_catalog.nextval(':"schema".position_seq'::pg_catalog.regclass) end,
               case when due.run_at <= this_moment and doc.flow is not null
                    then 'infinity' else due.run_at end,
               this_moment, coalesce(doc.max_attempts, 25), doc.timeout, coalesce(doc.priority, 5),
               coalesce(doc.queue, 'default'), doc.task, coalesce(doc.args, '{}'), doc.tags,
               doc.metadata, :"schema".until(doc.expires, this_moment), doc.flow,
               case when doc.flow is not null then coalesce(doc.flow_key, '') end,
               case when due.run_at <= this_moment and doc.flow is not null
                    then :"schema".next_rank(doc.flow, coalesce(doc.priority, 5), this_moment) end,
               case when doc.flow is not null then doc.weight end
        from pg_catalog.jsonb_to_recordset(jobs)
             as doc(task text, args jsonb, queue text, priority smallint, run_at timestamptz,
                    delay float8, max_attempts integer, timeout real, tags text[], metadata jsonb,
                    expires jsonb, flow text, flow_key text, weight integer)
             cross join lateral (
                 select coalesce(doc.run_at,
                                 this_moment + pg_catalog.make_interval(secs => doc.delay),
                                 this_moment):::"schema".moment as run_at
             ) as due
        returning j.id, j.position, j.run_at, j.flow, j.flow_key, j.rank
    ),
    told as (
        insert into :"schema".ticket (flow, key, rank)
        select made.flow, made.flow_key, min(made.rank)
        from made
        where made.rank is not null
        group by made.flow, made.flow_key
    )
    select made.id, false, case when made.position is not null then 'pending'
                                when made.run_at = 'infinity' then 'blocked'
                                else 'scheduled' end
    from made;
end;
$body$;

-- As in the first migration; jobs of flows are put in line.
create or replace function :"schema".enqueue_checked(jobs jsonb)
returns table (id bigint, duplicate boolean, state text)
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $body$
declare
    this_moment constant timestamptz := statement_timestamp();
    in_flows constant boolean := jobs @? '$[*].flow ? (@ != null)';
    bounded boolean;
    soonest float8;
begin
    -- The transaction has its id before its first position: a reader that sees no transaction
    -- running that is older than some id then knows that no lower position is still to come.
    perform pg_catalog.pg_current_xact_id();

    -- Where there is no room it makes none of them, and answers nothing. Each look is a statement of its own: a
    -- plan with all of them in it is slow to begin.
    bounded := exists (select from :"schema".queue where full_at is not null);
    if in_flows and not bounded then
        bounded := exists (select from :"schema".flow where settings ->> 'max_waiting' is not null);
    end if;
    if bounded then
        if exists (select from :"schema".find_full(jobs)) then
            return;
        end if;
    end if;

    if jobs @? '$[*].unique_key ? (@ != null)' then
        if jobs @? '$[*].unique ? (@ != null)' then
            return query
            select one.id, one.duplicate, one.state
            from :"schema".enqueue_unique(jobs) as one;
            return;
        end if;
        -- For a few, one by one is the faster way.
        if pg_catalog.jsonb_array_length(jobs) < 8 then
            return query
            select one.id, one.duplicate, one.state
            from :"schema".enqueue_each(jobs, this_moment) as one;
        else
            return query
            select keyed.id, keyed.duplicate, keyed.state
            from :"schema".enqueue_keyed(jobs, this_moment) as keyed;
        end if;
    elsif in_flows then
        return query
        select made.id, made.duplicate, made.state
        from :"schema".enqueue_flows(jobs, this_moment) as made;
    else
        return query
        insert into :"schema".job as j (position, run_at, enqueued_at, max_attempts,
                                        timeout_seconds, priority, queue, task, args, tags, metadata,
                                        expires_at)
        select case when due.run_at <= this_moment
                    then pg_catalog.nextval(':"schema".position_seq'::pg_catalog.regclass) end,
               due.run_at, this_moment, coalesce(doc.max_attempts, 25), doc.timeout,
               coalesce(doc.priority, 5), coalesce(doc.queue, 'default'), doc.task,
               coalesce(doc.args, '{}'), doc.tags, doc.metadata,
               :"schema".until(doc.expires, this_moment)
        from pg_catalog.jsonb_to_recordset(jobs)
             as doc(task text, args jsonb, queue text, priority smallint, run_at timestamptz,
                    delay float8, max_attempts integer, timeout real, tags text[], metadata jsonb,
                    expires jsonb)
             cross join lateral (
                 select coalesce(doc.run_at,
                                 this_moment + pg_catalog.make_interval(secs => doc.delay),
                                 this_moment):::"schema".moment as run_at
             ) as due
        returning j.id, false, case when j.position is null then 'scheduled' else 'pending' end;
    end if;

    if exists (select from :"schema".queue where waiting) then
        perform :"schema".wake(array(
            select distinct coalesce(doc ->> 'queue', 'default')
            from pg_catalog.jsonb_array_elements(jobs) as doc
            where not in_flows or doc ->> 'flow' is null));
        if in_flows then
            perform :"schema".wake_flows(pg_catalog.array_agg(doc ->> 'flow'),
                                         pg_catalog.array_agg(coalesce(doc ->> 'queue', 'default')))
            from pg_catalog.jsonb_array_elements(jobs) as doc;
        end if;
        select min(due.seconds) into soonest
        from pg_catalog.jsonb_array_elements(jobs) as doc
             cross join lateral (
                 select coalesce((doc ->> 'delay')::float8,
                                 extract(epoch from (doc ->> 'run_at')::timestamptz - this_moment))
             ) as due(seconds)
        where doc ?| array['delay', 'run_at'] and due.seconds > 0;
        if soonest < 60 then
            perform :"schema".notify('s:' || soonest::text);
        end if;
    end if;
end;
$body$;

-- Enqueues jobs from any language, a trigger or psql: as in the first migration, with the keys flow, flow_key,
-- weight and unique as well.
create or replace function :"schema".enqueue(jobs jsonb)
returns table (id bigint, duplicate boolean, state text)
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $body$
declare
    known constant text[] := array['task', 'args', 'queue', 'priority', 'delay', 'run_at',
        'max_attempts', 'timeout', 'unique_key', 'tags', 'metadata', 'expires', 'flow', 'flow_key',
        'weight', 'unique'];
    docs jsonb := case pg_catalog.jsonb_typeof(jobs)
        when 'object' then pg_catalog.jsonb_build_array(jobs) else jobs end;
    doc jsonb;
    n bigint;
    wrong text;
begin
    if pg_catalog.jsonb_typeof(docs) is distinct from 'array' then
        raise exception 'pgqueue: jobs must be an object or an array of objects, not %',
            coalesce(pg_catalog.jsonb_typeof(docs), 'null') using errcode = 'invalid_parameter_value';
    end if;
    for doc, n in
        select body, ordinality - 1 from pg_catalog.jsonb_array_elements(docs) with ordinality as d(body)
    loop
        wrong := case
            when pg_catalog.jsonb_typeof(doc) <> 'object' then 'must be an object'
            when coalesce(doc ->> 'task', '') = '' then 'needs a task'
            when doc ? 'delay' and doc ? 'run_at' then 'has both delay and run_at'
            when doc - known <> '{}' then pg_catalog.format('has an unknown key "%s"; known are %s',
                (select key from pg_catalog.jsonb_object_keys(doc - known) as key limit 1),
                pg_catalog.array_to_string(known, ', '))
            when coalesce((doc ->> 'delay')::float8, 0) not between 0 and 3155760000
                then 'has a delay that is not between 0 seconds and 100 years'
            when (doc ->> 'run_at')::timestamptz
                 not between '0001-01-01 00:00:00+00' and '9999-12-31 23:59:59.999999+00'
                then 'has a run_at that is not within the years 1 to 9999'
            when pg_catalog.jsonb_typeof(doc -> 'args') <> 'object' then 'has args that are not an object'
            when pg_catalog.jsonb_typeof(doc -> 'metadata') not in ('object', 'null')
                then 'has metadata that are not an object'
            when pg_catalog.jsonb_typeof(doc -> 'tags') not in ('array', 'null')
                 or (pg_catalog.jsonb_typeof(doc -> 'tags') = 'array'
                     and doc @? '$.tags[*] ? (@.type() != "string")')
                then 'has tags that are not an array of strings'
            when coalesce((doc ->> 'priority')::numeric, 5) not between 0 and 9
                then 'has a priority that is not from 0 to 9'
            when coalesce((doc ->> 'max_attempts')::numeric, 1) < 1
                then 'has max_attempts below 1'
            when coalesce((doc ->> 'timeout')::float8, 1) <= 0
                then 'has a timeout that is not above 0 seconds'
            when pg_catalog.jsonb_typeof(doc -> 'expires') not in ('number', 'string', 'null')
                then 'has expires that is neither seconds nor a time'
            when pg_catalog.jsonb_typeof(doc -> 'expires') = 'number'
                 and (doc ->> 'expires')::float8 not between 0.001 and 3155760000
                then 'has expires that is not between 0.001 seconds and 100 years'
            when pg_catalog.jsonb_typeof(doc -> 'expires') = 'string'
                 and (doc ->> 'expires')::timestamptz
                 not between '0001-01-01 00:00:00+00' and '9999-12-31 23:59:59.999999+00'
                then 'has expires that is not within the years 1 to 9999'
            when coalesce(doc ->> 'queue', 'q') = '' or octet_length(doc ->> 'queue') > 100
                 or doc ->> 'queue' ~ '[\x01-\x1f\x7f]'
                then 'has a queue name that is empty, over 100 bytes, or has a control character in it'
            when octet_length(doc ->> 'task') > 200 or doc ->> 'task' ~ '[\x01-\x1f\x7f]'
                then 'has a task name that is over 200 bytes, or has a control character in it'
            when doc ->> 'unique_key' = '' or octet_length(doc ->> 'unique_key') > 500
                then 'has a unique_key that is empty or over 500 bytes'
            when doc ->> 'flow' = '' or octet_length(doc ->> 'flow') > 100
                 or doc ->> 'flow' ~ '[\x01-\x1f\x7f]'
                then 'has a flow that is empty, over 100 bytes, or has a control character in it'
            when doc ->> 'flow' is null and coalesce(doc ->> 'flow_key', doc ->> 'weight') is not null
                then 'has a flow_key or a weight, and no flow'
            when octet_length(doc ->> 'flow_key') > 200 or doc ->> 'flow_key' ~ '[\x01-\x1f\x7f]'
                then 'has a flow_key that is over 200 bytes, or has a control character in it'
            when coalesce((doc ->> 'weight')::numeric, 1) not between 1 and 1000000
                then 'has a weight that is not from 1 to 1,000,000'
            when pg_catalog.pg_column_size(doc -> 'args') > 8388608 then 'has args of over 8 MiB'
            when pg_catalog.pg_column_size(doc -> 'metadata') > 524288
                then 'has metadata of over 512 KiB'
            when pg_catalog.pg_column_size(doc -> 'tags') > 65536 then 'has tags of over 64 KiB'
            when doc @? '$.**{103}' then 'has args or metadata that are nested more than 100 deep'
        end;
        if wrong is null and doc ? 'unique' then
            wrong := :"schema".unique_fault(doc);
        end if;
        if wrong is not null then
            raise exception 'pgqueue: job [%] %', n, wrong using errcode = 'invalid_parameter_value';
        end if;
    end loop;
    if docs @? '$[*].unique ? (@ != null)' then
        docs := (
            select jsonb_agg(
                       case when jsonb_typeof(body -> 'unique') = 'object' and body ->> 'unique_key' is null
                            then body || jsonb_build_object('unique_key', :"schema".unique_key_of(
                                     body ->> 'task', coalesce(body -> 'args', '{}'), body -> 'unique' -> 'by'))
                            else body end
                       order by place)
            from pg_catalog.jsonb_array_elements(docs) with ordinality as d (body, place));
    end if;
    return query
    select checked.id, checked.duplicate, checked.state
    from :"schema".enqueue_checked(docs) as checked;
    if not found and docs <> '[]' then
        perform :"schema".refuse_full(docs);
    end if;
end;
$body$;

-- Admits jobs of a flow: gives a position to those that may run now. One admission of a flow at a time: it
-- locks the flow's row, and its next statement has a snapshot that is younger than that lock. So counts are
-- exact. Who finds the row locked is told so, and looks again a moment later. It is to run in a transaction
-- of its own, READ COMMITTED.
-- ready_most: how many admitted jobs may wait for a worker at once. The floors say below what nothing is to be
-- found, as earlier answers told: positions of admitted jobs, tickets, turns. They save time alone.
-- Answers: admitted, -1 if another is at it; whether more could be admitted at once; the seconds until a rate
-- or the end of a break lets more in; lowest, first_turn: for the next floors; newest_ticket, following,
-- oldest, cleared: up to newest_ticket no ticket will come once all transactions before following are over,
-- oldest being the first that runs, and none was left if cleared; the queues that got jobs. Where there is no such
-- flow newest_ticket is null.
create function :"schema".admit(
    the_flow text, ready_most integer, position_floor bigint, ticket_floor bigint,
    turn_floor timestamptz,
    out admitted integer, out more boolean, out wait float8, out lowest bigint,
    out first_turn timestamptz, out newest_ticket bigint, out following bigint, out oldest bigint,
    out cleared boolean, out queues text[])
language plpgsql volatile set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
-- The parts of the large statement are joined by hashing, though the planner believes each to be small; what
-- is to be probed by an index is a lateral subquery or an array of row ids, which leaves no other way.
set enable_seqscan = off set enable_bitmapscan = off set enable_mergejoin = off set enable_nestloop = off
set enable_hashjoin = on
as $body$
#variable_conflict use_column
declare
    unlimited constant integer := 1000000;
    f record;
    moment timestamptz;
    paused text[];
    spent float8;
    tokens float8;
    ahead float8;
    key_ahead float8;
    saved float8;
    needed float8;
    charged float8;
    held timestamptz;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'pgqueue: admit() needs READ COMMITTED' using errcode = 'PQ002';
    end if;
    for attempt in 1 .. 2 loop
        select tat, held_until, paused_at is not null as paused,
               declared is null and changed is null as unknown,
               (settings ->> 'concurrency')::integer as concurrency,
               (settings ->> 'key_concurrency')::integer as key_concurrency,
               (settings ->> 'rate')::float8 as rate,
               coalesce((settings ->> 'burst')::float8, 1) as burst,
               (settings ->> 'key_rate')::float8 as key_rate,
               coalesce((settings ->> 'key_burst')::float8, 1) as key_burst,
               coalesce((settings ->> 'ordered')::boolean, false) as ordered
          into f
        from :"schema".flow
        where name = the_flow
        for no key update skip locked;
        exit when found;
        -- It is there, and locked: to insert it would wait for whoever changes it.
        if attempt = 2 or exists (select from :"schema".flow where name = the_flow) then
            admitted := -1;
            more := true;
            return;
        end if;
        -- Anybody may send a notification that names a flow: a name alone makes no row.
        if not exists (select from :"schema".ticket where flow = the_flow)
           and not exists (select from :"schema".line where flow = the_flow) then
            admitted := 0;
            more := false;
            queues := '{}';
            return;
        end if;
        insert into :"schema".flow (name) values (the_flow) on conflict (name) do nothing;
    end loop;
    if f.unknown then
        f.concurrency := 1;
    end if;
    if f.ordered then
        f.key_concurrency := 1;
    end if;
    -- With a rate, so many jobs are admitted ahead of the workers: they may all begin at the same moment.
    ahead := case when f.rate is null then unlimited else greatest(f.burst, ceil(f.rate / 4)) end;
    key_ahead := case when f.key_rate is null then unlimited else greatest(f.key_burst, ceil(f.key_rate / 4)) end;
    -- A lost admission does no harm: its tickets come back with it, and a claim of what it admitted makes it last.
    perform set_config('synchronous_commit', 'off', true);
    -- Before the first position: see enqueue_checked.
    perform pg_current_xact_id();
    moment := clock_timestamp();
    select last_value - (not is_called)::integer into newest_ticket from :"schema".ticket_id_seq;
    select pg_snapshot_xmin(one)::text::bigint,
           pg_snapshot_xmax(one)::text::bigint + age(pg_snapshot_xmax(one)::xid)
      into oldest, following
    from pg_current_snapshot() as one;
    queues := '{}';
    admitted := 0;
    more := false;
    cleared := true;
    if f.held_until > moment then
        wait := extract(epoch from f.held_until - moment);
    end if;
    -- Nothing to look at: the large statement costs a multiple of this.
    if not exists (select from :"schema".ticket where flow = the_flow and id > ticket_floor)
       and (f.paused or wait is not null
            or not exists (select from :"schema".line as l
                           where l.flow = the_flow and l.turn >= turn_floor and l.turn <= moment)) then
        if f.key_rate is not null or wait is null then
            select least(wait, extract(epoch from l.turn - moment)) into wait
            from :"schema".line as l
            where l.flow = the_flow and l.turn > moment and l.turn < 'infinity'
            order by l.turn
            limit 1;
        end if;
        return;
    end if;
    paused := array(select name from :"schema".queue where paused_at is not null);

    with used as materialized (
        select j.flow_key as key, count(*)::integer as n,
               count(*) filter (where j.worker_id is null)::integer as ready, min(j.position) as lowest
        from :"schema".job as j
        where j.flow = the_flow and j.flow is not null and j.position is not null
          and j.position > position_floor
        group by j.flow_key
    ),
    ticketed as materialized (
        delete from :"schema".ticket as t
        where t.ctid = any (array(select ctid
                                  from :"schema".ticket
                                  where flow = the_flow and id > ticket_floor
                                  order by id
                                  limit 5000))
        returning t.key, t.rank, t.used, t.weight, t.held_until, t.holds_flow
    ),
    arrived as materialized (
        select key, min(rank) as rank, sum(used - weight) as charged,
               max(held_until) filter (where not holds_flow) as held_until
        from ticketed
        group by key
    ),
    budget as materialized (
        select sum(charged) as charged,
               greatest(f.held_until,
                        (select max(held_until) from ticketed where holds_flow)) as held_until
        from arrived
    ),
    total as materialized (
        select level.lowest, level.saved, level.tokens, budget.charged, budget.held_until,
               case when f.paused or budget.held_until > moment then 0
                    else greatest(0, least(coalesce(f.concurrency, unlimited) - level.n,
                                           ready_most - level.ready, floor(level.tokens + 1e-9)))
               end::integer as room
        from budget,
             lateral (
                 select one.*, least(one.saved, ahead - one.ready) as tokens
                 from (select coalesce(sum(used.n), 0)::integer as n,
                              coalesce(sum(used.ready), 0)::integer as ready, min(used.lowest) as lowest,
                              case when f.rate is null then unlimited
                                   else f.burst - greatest(0, coalesce(budget.charged, 0)
                                        + greatest(0, extract(epoch from f.tat - moment)) * f.rate)
                              end::float8 as saved
                       from used) as one
             ) as level
    ),
    -- Virtual time: 60 us for each job, so that it rarely meets the clock, where it is held. A new line begins
    -- where the others stand.
    clock as materialized (
        select coalesce((select l.turn
                         from :"schema".line as l
                         where l.flow = the_flow and l.turn >= turn_floor and l.turn <= moment
                         order by l.turn
                         limit 1), moment) as now
    ),
    -- Those whose turn it is.
    turned as materialized (
        select l.ctid as row_id, l.key, l.turn, l.head, l.served_at, l.tat
        from :"schema".line as l
        where l.flow = the_flow and l.turn >= turn_floor and l.turn <= moment
        order by l.turn
        limit (select room from total)
    ),
    -- And those with a ticket that are new, wait for a limit or a rate, got a job before their head, or are charged.
    candidate as materialized (
        select row_id, turned.key, turn as was, turn, least(head, arrived.rank - 1) as head,
               head as old_head, served_at, tat, charged, arrived.held_until
        from turned left join arrived on arrived.key = turned.key
        union all
        select l.row_id, a.key, l.turn,
               case when l.turn = 'infinity' or l.turn is null then (select now from clock)
                    else l.turn end,
               coalesce(least(l.head, a.rank - 1), 0), l.head, l.served_at, coalesce(l.tat, 'epoch'),
               a.charged, a.held_until
        from arrived as a
             left join lateral (
                 select l.ctid as row_id, l.turn, l.head, l.served_at, l.tat
                 from :"schema".line as l
                 where l.flow = the_flow and l.key = a.key
                 order by l.turn desc
                 limit 1
             ) as l on true
        where (case when l.row_id is null
                    then a.rank is not null or a.charged > 0 and f.key_rate is not null
                    -- In the future: it waits for tokens, or had no job left, and is kept for its rate.
                    else l.turn > moment or a.rank <= l.head or a.charged is not null
                         or a.held_until is not null end)
          and a.key not in (select key from turned)
    ),
    sized as materialized (
        select c.*, coalesce(o.weight, 1)::float8 as share_weight,
               greatest(o.held_until, c.held_until) as key_held,
               case when o.paused_at is not null or greatest(o.held_until, c.held_until) > moment then 0
                    else greatest(0, coalesce(case when f.ordered then 1 else o.concurrency end,
                                              f.key_concurrency, unlimited)
                                     - coalesce(u.n, 0)) end as key_room,
               least(level.saved, level.ahead) as key_tokens, level.saved > level.ahead as crowded,
               greatest(1, ceil(total.room * (coalesce(o.weight, 1)::float8
                                              / sum(coalesce(o.weight, 1)::float8) over ())))::integer as share
        from candidate as c
             cross join total
             left join used as u on u.key = c.key
             left join lateral (
                 select o.concurrency, o.weight, o.paused_at, o.held_until
                 from :"schema".flow_key as o
                 where o.flow = the_flow and o.key = c.key
                 limit 1
             ) as o on true
             cross join lateral (
                 select case when f.key_rate is null then unlimited
                             else f.key_burst - greatest(0, coalesce(c.charged, 0)
                                  + greatest(0, extract(epoch from c.tat - moment)) * f.key_rate)
                        end::float8 as saved,
                        key_ahead - coalesce(u.ready, 0) as ahead
             ) as level
    ),
    probed as materialized (
        select s.key, s.turn, s.share_weight, s.key_tokens, j.row_id, j.rank, j.cost, j.blocked,
               least(s.key_room, floor(s.key_tokens + 1e-9), s.share) as quota,
               row_number() over line_order as place,
               count(*) filter (where not j.blocked) over line_order as nth,
               sum(j.cost) filter (where not j.blocked) over line_order as spent
        from sized as s
             cross join lateral (
                 select j.ctid as row_id, j.rank, coalesce(j.weight, 1) as cost,
                        j.queue = any (paused) or j.run_at < 'infinity' as blocked
                 from :"schema".job as j
                 where j.flow = the_flow and j.flow_key = s.key and j.rank > s.head
                   and j.flow is not null and j.position is null and j.rank > 0
                 order by j.rank
                 -- A few jobs of paused queues are stepped over.
                 limit greatest(0, least(s.key_room, floor(s.key_tokens + 1e-9), s.share)) + 1
                       + case when paused = '{}' then 0 else 1000 end
             ) as j
        window line_order as (partition by s.key order by j.rank)
    ),
    free as materialized (
        select p.key, p.row_id, p.rank, p.cost,
               extract(epoch from p.turn - clock.now) * 1e6 + 60 * p.nth / p.share_weight as turn
        from probed as p, clock
        where not p.blocked and p.nth <= p.quota and not (f.ordered and p.place > 1)
          and (f.key_rate is null or p.spent - p.cost + least(p.cost, f.key_burst) <= p.key_tokens + 1e-9)
    ),
    ordered as materialized (
        select key, row_id, rank, cost,
               row_number() over turn_order as of_all, sum(cost) over turn_order as spent
        from free
        window turn_order as (order by turn, key, rank)
    ),
    chosen as materialized (
        select ordered.key, ordered.row_id, ordered.rank, ordered.of_all
        from ordered, total
        where ordered.of_all <= total.room
          and (f.rate is null
               or ordered.spent - ordered.cost + least(ordered.cost, f.burst) <= total.tokens + 1e-9)
    ),
    -- What somebody has locked is passed by: its line keeps its head, and is looked at again.
    unlocked as materialized (
        select j.ctid as row_id
        from :"schema".job as j
        where j.ctid = any (array(select row_id from chosen))
        for update skip locked
    ),
    placed as materialized (
        select row_id, nextval(':"schema".position_seq'::regclass) as position
        from (select chosen.row_id
              from chosen join unlocked on unlocked.row_id = chosen.row_id
              order by chosen.of_all) as in_turn
    ),
    moved as materialized (
        update :"schema".job as j
        set position = placed.position, run_at = moment
        from placed
        where j.ctid = any (array(select row_id from placed)) and j.ctid = placed.row_id
        returning j.flow_key as key, j.rank, j.queue, coalesce(j.weight, 1) as cost
    ),
    served as materialized (
        select key, count(*)::integer as n, max(rank) as last, sum(cost) as spent
        from moved
        group by key
    ),
    seen as materialized (
        select probed.key, count(*)::integer as n,
               count(*) filter (where not blocked and not (f.ordered and place > 1))::integer as n_free,
               min(probed.rank) filter (where blocked) as first_blocked,
               count(chosen.row_id)::integer as n_chosen
        from probed left join chosen on chosen.row_id = probed.row_id
        group by probed.key
    ),
    -- The first job of each line that was left: what it takes.
    left_first as materialized (
        select distinct on (probed.key) probed.key, probed.cost
        from probed left join chosen on chosen.row_id = probed.row_id
        where not blocked and chosen.row_id is null
        order by probed.key, probed.rank
    ),
    line_now as materialized (
        select s.row_id, s.key, s.was, s.turn as asked, s.head, s.old_head, s.served_at, s.tat as old_tat,
               s.key_room, s.key_held, s.share_weight, coalesce(v.n, 0) as n,
               v.n is null and p.n_chosen > 0 as locked,
               coalesce(p.n, 0) > coalesce(v.n, 0) as has_more,
               coalesce(p.n_free, 0) > coalesce(v.n, 0) as has_free,
               case when v.n = p.n_chosen
                    then greatest(s.head, least(v.last, p.first_blocked - 1)) else s.head end as last,
               case when f.key_rate is null then s.tat
                    when v.n > 0 or s.charged is not null
                    -- What comes back fills no bucket beyond its burst.
                    then greatest(moment, greatest(s.tat, moment)
                                          + make_interval(secs => coalesce(s.charged, 0) / f.key_rate))
                         + make_interval(secs => coalesce(v.spent, 0) / f.key_rate)
                    else s.tat end as tat,
               least(coalesce(q.cost, 1), f.key_burst) as needed,
               s.key_tokens - coalesce(v.spent, 0) as key_tokens, s.crowded
        from sized as s
             left join served as v on v.key = s.key
             left join seen as p on p.key = s.key
             left join left_first as q on q.key = s.key
    ),
    next as materialized (
        select *,
               has_more or f.key_rate is not null and tat > moment as stays,
               case when not has_more then tat
                    when key_held > moment then key_held
                    when key_room - n <= 0 or not has_free then timestamptz 'infinity'
                    when f.key_rate is not null and key_tokens + 1e-9 < needed
                        then greatest(tat - make_interval(secs => (f.key_burst - needed) / f.key_rate)
                                      + interval '1 microsecond',
                                      case when crowded then moment + interval '250 ms' end)
                    -- The other keys need not wait for the transaction that has locked its job.
                    when locked then moment + interval '250 ms'
                    -- Rounded up as often as is right on average.
                    when n > 0
                        then least(moment, asked + interval '1 microsecond'
                                                   * floor(60 * n / share_weight + random()))
                    else asked end as turn
        from line_now
    ),
    changed as materialized (
        select *
        from next
        where case when row_id is null then stays
                   else not stays or turn <> was or last < old_head or tat <> old_tat
                        or served_at < moment - interval '1 second' end
    ),
    left_over as (
        delete from :"schema".line as l
        where l.ctid = any (array(select row_id from changed where row_id is not null))
    ),
    kept as (
        insert into :"schema".line (flow, key, turn, head, served_at, tat)
        select the_flow, key, turn, last, moment, tat
        from changed
        where stays
    ),
    breaks as (
        insert into :"schema".flow_key as o (flow, key, held_until)
        select the_flow, key, held_until from arrived where held_until > moment order by key
        on conflict (flow, key) do update
            set held_until = greatest(o.held_until, excluded.held_until)
    ),
    summed as (
        insert into :"schema".flow_usage as u (flow, key, day, jobs, used)
        select the_flow, key, (moment at time zone 'UTC')::date, count(*), sum(used)
        from ticketed
        where used is not null
        group by key
        on conflict (flow, key, day) do update
            set jobs = u.jobs + excluded.jobs, used = u.used + excluded.used
    )
    select moved_n.n, total.lowest, (select now from clock),
           -- What the next job takes, if it waits for tokens of the flow.
           coalesce((select least(ordered.cost, f.burst) from ordered
                     where of_all = (select count(*) + 1 from chosen) and of_all <= total.room), 1),
           (select count(*) < 5000 from ticketed), total.saved, total.tokens, total.charged, total.held_until,
           (select coalesce(sum(served.spent), 0) from served),
           array(select distinct queue::text from moved),
           total.room > moved_n.n
               -- Where nothing came of it, all that was looked at is locked, or was looked at for the last time.
               and (moved_n.n > 0 and exists (select from next
                                              where has_free and key_room - n > 0 and turn <= moment)
                    or (select count(*) from turned) = total.room
                       and (moved_n.n > 0 or exists (select from changed))),
           least(
               case when moved_n.n < (select count(*) from chosen) then 0.25 end,  -- somebody has locked the others
               (select min(extract(epoch from turn - moment)) from next
                where stays and turn > moment and turn < 'infinity'),
               (select extract(epoch from l.turn - moment)
                from :"schema".line as l
                where l.flow = the_flow and l.turn > moment and l.turn < 'infinity'
                order by l.turn
                limit 1))
      into admitted, lowest, first_turn, needed, cleared, saved, tokens, charged, held, spent, queues, more, wait
    from total, (select count(*)::integer as n from moved) as moved_n;

    if f.rate is not null and (spent > 0 or charged is not null) or held is distinct from f.held_until then
        update :"schema".flow
        set tat = case when f.rate is not null and (spent > 0 or charged is not null)
                       then greatest(moment, greatest(tat, moment)
                                             + make_interval(secs => coalesce(charged, 0) / f.rate))
                            + make_interval(secs => spent / f.rate)
                       else tat end,
            held_until = held
        where name = the_flow;
    end if;
    if held > moment then
        more := false;
        wait := least(wait, extract(epoch from held - moment));
    elsif f.rate is not null and tokens - spent < needed - 1e-9 then
        more := false;
        wait := least(wait, greatest((needed - saved + spent) / f.rate, case when tokens < saved then 0.25 end));
    end if;
    more := more or not cleared;
    if admitted > 0 and exists (select from :"schema".queue where waiting) then
        perform :"schema".wake(queues);
    end if;
end;
$body$;

-- Puts jobs that were admitted, and that nobody has claimed, back to their places in line: those beyond the
-- limits of their flow or key, all of them if the flow, their key or their queue is paused, or a break goes on.
-- It waits for an admission that is under way. Answers how many. All lines that stood still look again.
create function :"schema".withdraw(the_flow text) returns integer
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_mergejoin = off
as $body$
declare
    f record;
    taken integer;
begin
    select paused_at is not null or coalesce(held_until > clock_timestamp(), false) as stands,
           coalesce((settings ->> 'concurrency')::integer, 2147483647) as concurrency,
           case when settings @> '{"ordered": true}' then 1 end as ordered,
           coalesce((settings ->> 'key_concurrency')::integer, 2147483647) as key_concurrency
      into f
    from :"schema".flow
    where name = the_flow
    for no key update;
    if not found then
        return 0;
    end if;
    with ranked as (
        select j.ctid as row_id, j.worker_id, j.flow_key, j.queue,
               row_number() over (partition by j.flow_key order by j.worker_id is null, j.position) as nth,
               row_number() over (order by j.worker_id is null, j.position) as of_all
        from :"schema".job as j
        where j.flow = the_flow and j.flow is not null and j.position is not null
    ),
    beyond as (
        select ranked.row_id
        from ranked
             left join :"schema".flow_key as o on o.flow = the_flow and o.key = ranked.flow_key
             left join :"schema".queue as q on q.name = ranked.queue
        where ranked.worker_id is null
          and (f.stands or q.paused_at is not null or o.paused_at is not null
               or o.held_until > clock_timestamp() or ranked.of_all > f.concurrency
               or ranked.nth > coalesce(f.ordered, o.concurrency, f.key_concurrency))
    ),
    unlocked as (
        select j.ctid as row_id
        from beyond join :"schema".job as j on j.ctid = beyond.row_id
        where j.worker_id is null
        for update of j skip locked
    ),
    back as (
        update :"schema".job as j
        set position = null, run_at = 'infinity',
            -- A worker that knows no flows gives a position to what has no place in line.
            rank = coalesce(abs(j.rank), :"schema".next_rank(the_flow, j.priority, statement_timestamp()))
        from unlocked
        where j.ctid = unlocked.row_id
        returning j.flow_key, j.rank
    ),
    told as (
        insert into :"schema".ticket (flow, key, rank)
        select the_flow, flow_key, min(rank) from back group by flow_key
    )
    select count(*) into taken from back;
    insert into :"schema".ticket (flow, key)
    select the_flow, key from :"schema".line where flow = the_flow and turn = 'infinity';
    return taken;
end;
$body$;

-- Something else holds for a flow, its keys or a queue than before: its admissions are to act by that at once.
-- The caller has written it, and may hold the row of the flow. before: the settings of the flow as they were; null
-- if they are the same. Where a rate is another one, tokens that were taken stay taken, up to the burst, and lines
-- that waited for tokens are looked at. Where it is ordered from now on, ranks go on above those of the time of
-- any priority. Answers how many jobs went back to their lines.
create function :"schema".flow_changed(the_flow text, before jsonb) returns integer
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_mergejoin = off
as $body$
declare
    moment timestamptz;
    rate float8;
    key_rate float8;
    debt float8;
    key_debt float8;
    taken integer;
begin
    select (settings ->> 'rate')::float8, (settings ->> 'key_rate')::float8,
           coalesce((settings ->> 'burst')::float8, 1), coalesce((settings ->> 'key_burst')::float8, 1)
      into rate, key_rate, debt, key_debt
    from :"schema".flow
    where name = the_flow
    for no key update;
    moment := clock_timestamp();
    if before is not null then
        if not before @> '{"ordered": true}' then
            update :"schema".flow
            set first_rank = greatest(first_rank, ((extract(epoch from moment) * 1000)::bigint + 600000) << 21)
            where name = the_flow and settings @> '{"ordered": true}';
        end if;
        if rate is distinct from (before ->> 'rate')::float8
           or debt is distinct from coalesce((before ->> 'burst')::float8, 1) then
            update :"schema".flow
            set tat = moment + make_interval(
                    secs => least(debt, extract(epoch from tat - moment)
                                        * coalesce((before ->> 'rate')::float8, rate)) / rate)
            where name = the_flow and tat > moment and rate is not null;
        end if;
        if key_rate is distinct from (before ->> 'key_rate')::float8
           or key_debt is distinct from coalesce((before ->> 'key_burst')::float8, 1) then
            update :"schema".line
            set turn = case when turn < 'infinity' then least(turn, moment) else turn end,
                tat = case when tat > moment and key_rate is not null
                           then moment + make_interval(
                               secs => least(key_debt, extract(epoch from tat - moment)
                                                       * coalesce((before ->> 'key_rate')::float8, key_rate))
                                       / key_rate)
                           else tat end
            where flow = the_flow and (turn > moment and turn < 'infinity' or tat > moment);
        end if;
    end if;
    taken := :"schema".withdraw(the_flow);
    -- So that a worker that heard nothing looks as well.
    insert into :"schema".ticket (flow, key) values (the_flow, '');
    perform :"schema".notify('f:' || the_flow);
    return taken;
end;
$body$;

-- Deletes what is noted of changes that are older than 400 days, the oldest first; answers how many rows. The
-- age is no argument, so that who may call this can delete nothing younger.
create function :"schema".drop_audit(most integer) returns integer
language sql volatile set search_path = ''
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
begin atomic
    with old as (
        select audit.at, audit.id
        from :"schema".audit
        where audit.at < statement_timestamp() - interval '400 days'
        order by audit.at, audit.id
        limit most
        for update skip locked
    ),
    gone as (
        delete from :"schema".audit using old
        where audit.at = old.at and audit.id = old.id
        returning audit.id
    )
    select count(*)::integer from gone;
end;

-- Deletes what jobs used more than 400 days ago, the oldest first; answers how many rows. As drop_audit.
create function :"schema".drop_usage(most integer) returns integer
language sql volatile set search_path = ''
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
begin atomic
    with old as (
        select flow_usage.flow, flow_usage.key, flow_usage.day
        from :"schema".flow_usage
        where flow_usage.day < (statement_timestamp() at time zone 'UTC')::date - 400
        order by flow_usage.day
        limit most
        for update skip locked
    ),
    gone as (
        delete from :"schema".flow_usage using old
        where flow_usage.flow = old.flow and flow_usage.key = old.key and flow_usage.day = old.day
        returning flow_usage.day
    )
    select count(*)::integer from gone;
end;

-- Writes a ticket for each key that has jobs in line, and neither a line that reaches them nor a ticket; or a line
-- that stands still, though none of its jobs is admitted and nothing keeps the first one. Only somebody's own SQL
-- leaves such, or a worker that does not know flows. Answers how many keys of which flow.
create function :"schema".heal_lines() returns table (flow text, keys integer)
language sql volatile set search_path = ''
set enable_seqscan = off set enable_bitmapscan = off set enable_mergejoin = off set enable_nestloop = off
set enable_hashjoin = on
begin atomic
    with recursive waiting as (
        (select job.flow, job.flow_key, job.rank
         from :"schema".job
         where job.flow is not null and job.position is null and job.rank > 0
         order by job.flow, job.flow_key, job.rank
         limit 1)
        union all
        select following.flow, following.flow_key, following.rank
        from waiting
             cross join lateral (
                 select job.flow, job.flow_key, job.rank
                 from :"schema".job
                 where job.flow is not null and job.position is null and job.rank > 0
                   and (job.flow, job.flow_key) > (waiting.flow, waiting.flow_key)
                 order by job.flow, job.flow_key, job.rank
                 limit 1
             ) as following
    ),
    noted as materialized (
        select ticket.flow, ticket.key, min(ticket.rank) as rank from :"schema".ticket group by ticket.flow, ticket.key
    ),
    admitted as materialized (
        select distinct job.flow::text as flow, job.flow_key::text as key
        from :"schema".job
        where job.flow is not null and job.position is not null
    ),
    told as (
        insert into :"schema".ticket (flow, key, rank)
        select waiting.flow, waiting.flow_key, waiting.rank
        from waiting
             -- Before the first ticket has its number: see admit.
             cross join pg_current_xact_id() as begun
             left join noted on noted.flow = waiting.flow and noted.key = waiting.flow_key
             left join admitted on admitted.flow = waiting.flow and admitted.key = waiting.flow_key
             left join lateral (
                 select line.turn = 'infinity' as still
                 from :"schema".line
                 where line.flow = waiting.flow and line.key = waiting.flow_key and line.head < waiting.rank
                 order by line.turn
                 limit 1
             ) as reached on true
             left join lateral (
                 select true as there
                 from :"schema".job
                 where reached.still and noted.key is null and admitted.key is null
                   and job.flow = waiting.flow and job.flow_key = waiting.flow_key and job.rank = waiting.rank
                   and job.flow is not null and job.position is null and job.rank > 0 and job.run_at = 'infinity'
                   and not exists (select from :"schema".queue
                                   where queue.name = job.queue and queue.paused_at is not null)
                   and not exists (select from :"schema".flow_key as o
                                   where o.flow = waiting.flow and o.key = waiting.flow_key
                                     and (o.paused_at is not null or o.concurrency = 0))
                 limit 1
             ) as free on true
        where reached.still is null and (noted.rank is null or noted.rank > waiting.rank)
           or free.there
        returning flow
    )
    select told.flow, count(*)::integer from told group by told.flow;
end;

-- Deletes what is said of keys that are treated as all others again, as after a break: answers how many, most at
-- the most.
create function :"schema".forget_keys(most integer) returns integer
language sql volatile set search_path = ''
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
begin atomic
    with idle as (
        select o.flow, o.key
        from :"schema".flow_key as o
        where o.concurrency is null and o.weight is null and o.paused_at is null
          and (o.held_until is null or o.held_until <= clock_timestamp())
        order by o.flow, o.key
        limit most
        for update skip locked
    ),
    gone as (
        delete from :"schema".flow_key as o using idle
        where o.flow = idle.flow and o.key = idle.key
        returning o.key
    )
    select count(*)::integer from gone;
end;

-- Limits of queues. declared, changed, settings: as schedule has them.
alter table :"schema".queue
    add column declared jsonb,
    add column changed jsonb,
    add column settings jsonb not null
        generated always as (coalesce(declared, '{}') || coalesce(changed, '{}')) stored,
    add column changed_at timestamptz,
    add column changed_by text;

-- Overload. How many slots a worker uses while it is overloaded; null: all of them.
alter table :"schema".worker add column allowed_slots integer;
-- Unique jobs: until they start, for a period, replaced, debounced, throttled.

-- True: the key is free again once a worker has claimed the job.
alter table :"schema".job add column unique_started boolean;

-- Keys that are taken after their job is over, and jobs that have a period for themselves. until: of the first
-- kind, when the key is free again; of the second, when the next job may start if this one started on time.
create table :"schema".unique_past (
    key            text primary key,
    until          timestamptz not null,
    job_id         bigint,
    period_seconds float8
) with (fillfactor = 70);
create index unique_past_until on :"schema".unique_past (until);

-- The key of a job by its arguments: all of them, or those at these paths, as "customer" or "doc.id". The
-- order of keys in an object does not matter. The Python client makes the same key, byte for byte.
create function :"schema".unique_key_of(task text, args jsonb, paths jsonb) returns text
language sql immutable set search_path = ''
begin atomic
    select task || ':' || encode(sha256(convert_to(
               case when jsonb_typeof(paths) = 'array'
                    then (select coalesce(jsonb_object_agg(path, args #> string_to_array(path, '.')), '{}')
                          from jsonb_array_elements_text(paths) as path)
                    else args end::text, 'UTF8')), 'hex');
end;

-- What is wrong with the key unique of a document; null: nothing.
create function :"schema".unique_fault(doc jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $body$
declare
    rule constant jsonb := doc -> 'unique';
    names constant text[] := array['by', 'until', 'for', 'replace', 'wait', 'max_wait', 'period'];
    columns constant jsonb := '["args", "run_at", "priority", "tags"]';
    modes constant integer := (rule ? 'replace')::integer + (rule ? 'wait')::integer
                              + (rule ? 'period')::integer + (rule ? 'for')::integer;
begin
    if jsonb_typeof(rule) = 'null' then
        return null;
    elsif jsonb_typeof(rule) <> 'object' then
        return 'has unique that is not an object';
    end if;
    return case
        when rule - names <> '{}' then format('has an unknown key "%s" in unique; known are %s',
            (select key from jsonb_object_keys(rule - names) as key limit 1),
            array_to_string(names, ', '))
        when modes > 1 then 'has more than one of replace, wait, period and for in unique'
        when jsonb_typeof(rule -> 'by') not in ('array', 'null')
             or jsonb_typeof(rule -> 'by') = 'array' and rule @? '$.by[*] ? (@.type() != "string")'
            then 'has unique.by that is not an array of strings'
        when jsonb_typeof(rule -> 'by') = 'array' and doc ->> 'unique_key' is not null
            then 'has both unique_key and unique.by'
        when jsonb_typeof(rule -> 'by') = 'array' and exists (
                 select from jsonb_array_elements_text(rule -> 'by') as path
                 where doc -> 'args' #> string_to_array(path, '.') is null)
            then format('has no argument "%s", which is in unique.by',
                (select path from jsonb_array_elements_text(rule -> 'by') as path
                 where doc -> 'args' #> string_to_array(path, '.') is null limit 1))
        when coalesce(rule ->> 'until', 'finished') not in ('started', 'finished')
            then 'has unique.until that is neither "started" nor "finished"'
        when rule ? 'until' and rule ?| array['wait', 'period']
            then 'has unique.until beside wait or period, with which a key is taken until its job starts'
        when rule @? '$.keyvalue() ? (@.key == "for" || @.key == "wait" || @.key == "max_wait"
                                      || @.key == "period").value ? (@.type() != "number")'
            then 'has for, wait, max_wait or period in unique that is not a number of seconds'
        when rule @? '$.keyvalue() ? (@.key == "for" || @.key == "wait" || @.key == "max_wait"
                                      || @.key == "period").value ? (@ < 0.001 || @ > 3155760000)'
            then 'has for, wait, max_wait or period in unique that is not between 0.001 seconds and 100 years'
        when rule ? 'max_wait'
             and coalesce((rule ->> 'max_wait')::float8 < (rule ->> 'wait')::float8, true)
            then 'has unique.max_wait without wait, or below it'
        when rule ? 'wait' and doc ?| array['delay', 'run_at']
            then 'has unique.wait beside delay or run_at: the wait says when it is due'
        when rule ? 'replace' and (jsonb_typeof(rule -> 'replace') <> 'array'
                                   or rule -> 'replace' = '[]' or not rule -> 'replace' <@ columns)
            then 'has unique.replace that is not an array of args, run_at, priority and tags'
    end;
end;
$body$;

-- Locks the memory of a key until the transaction ends, and answers it; makes it if there is none.
create function :"schema".lock_unique_past(the_key text, out until timestamptz, out job_id bigint)
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off
as $body$
begin
    loop
        select past.until, past.job_id into until, job_id
        from :"schema".unique_past as past
        where past.key = the_key
        for no key update;
        exit when found;
        insert into :"schema".unique_past (key, until) values (the_key, '-infinity')
        on conflict (key) do nothing;
    end loop;
end;
$body$;

-- When the next job of a key may start that starts once in a period: a period after the last one started. A
-- job that was cancelled before it started took nobody's turn. Of one that nothing is known of any more, or that
-- waits for its next attempt, it counts when it was due. It locks the memory of the key.
create function :"schema".next_start(the_key text, period float8) returns timestamptz
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off
as $body$
declare
    span constant interval := make_interval(secs => period);
    past record;
    last record;
begin
    select * into past from :"schema".lock_unique_past(the_key);
    select jobs.state, jobs.claimed_at into last
    from :"schema".jobs
    where jobs.id = past.job_id
    order by jobs.finished_at desc nulls first
    limit 1;
    return case when last.claimed_at is not null then last.claimed_at + span
                when last.state = 'cancelled' then past.until - span
                else past.until end;
end;
$body$;

-- Forgets keys that are free: answers how many, most at the most.
create function :"schema".forget_unique(most integer) returns integer
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    forgotten integer;
begin
    with free as (
        select past.key
        from :"schema".unique_past as past
        where past.until <= statement_timestamp()
          and (past.period_seconds is null
               or not exists (
                   select from :"schema".jobs
                   where jobs.id = any (array[past.job_id])
                     and (jobs.finished_at is null
                          or jobs.claimed_at
                             > statement_timestamp() - make_interval(secs => past.period_seconds))))
        order by past.until
        limit most
        for update of past skip locked
    )
    delete from :"schema".unique_past as past using free where past.key = any (array[free.key]);
    get diagnostics forgotten = row_count;
    return forgotten;
end;
$body$;

-- Puts what a document says in the place of what a waiting job says, which the caller has locked. what: args
-- (and with them flow, flow_key and weight), run_at (and expires), priority, tags. due: when it is due, if
-- run_at is replaced. A job that stays ready, or in line, keeps its place, unless its priority changes.
-- Answers what it is now, and whether it was ready at that position before.
create function :"schema".replace_waiting(
    the_id bigint, doc jsonb, what text[], due timestamptz, this_moment timestamptz,
    out place bigint, out run_at timestamptz, out kept boolean, out flow text)
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off
as $body$
#variable_conflict use_variable
declare
    of_args constant boolean := 'args' = any (what);
    of_time constant boolean := 'run_at' = any (what);
    old record;
    new_key text;
    new_priority smallint;
    new_rank bigint;
    ready boolean;
    same_line boolean;
    in_place boolean;
begin
    select job.position, job.run_at, job.priority, job.flow::text, job.flow_key::text, job.rank into old
    from :"schema".job
    where job.id = the_id;
    flow := case when of_args then doc ->> 'flow' else old.flow end;
    new_key := case when not of_args then old.flow_key
                    when flow is not null then coalesce(doc ->> 'flow_key', '') end;
    new_priority := case when 'priority' = any (what) then coalesce((doc ->> 'priority')::smallint, 5)
                         else old.priority end;
    ready := old.position is not null;
    same_line := flow is not distinct from old.flow and new_key is not distinct from old.flow_key;
    in_place := same_line and new_priority = old.priority;
    kept := false;
    if (case when of_time then due > this_moment else not ready and old.run_at < 'infinity' end) then
        -- It is due later, and gets its place then.
        run_at := case when of_time then due else old.run_at end;
        new_rank := case when in_place and not of_time then old.rank end;
    elsif flow is null or ready and same_line then
        kept := ready and in_place;
        place := case when kept then old.position
                      else nextval(':"schema".position_seq'::regclass) end;
        run_at := case when of_time and not ready then due
                       when ready then old.run_at else this_moment end;
        new_rank := case when flow is not null then old.rank end;
    else
        run_at := 'infinity';
        new_rank := coalesce(case when in_place then abs(old.rank) end,
                             :"schema".next_rank(flow, new_priority, this_moment));
        insert into :"schema".ticket (flow, key, rank) values (flow, new_key, new_rank);
    end if;
    if ready and old.flow is not null and place is null then
        insert into :"schema".ticket (flow, key) values (old.flow, old.flow_key);
    end if;
    update :"schema".job
    set position = place,
        run_at = replace_waiting.run_at,
        rank = new_rank,
        priority = new_priority,
        flow = replace_waiting.flow,
        flow_key = new_key,
        weight = case when of_args then case when replace_waiting.flow is not null
                                             then (doc ->> 'weight')::integer end
                      else job.weight end,
        args = case when of_args then coalesce(doc -> 'args', '{}') else job.args end,
        tags = case when not 'tags' = any (what) then job.tags
                    when jsonb_typeof(doc -> 'tags') = 'array'
                    then array(select jsonb_array_elements_text(doc -> 'tags')) end,
        expires_at = case when of_time then :"schema".until(nullif(doc -> 'expires', 'null'), this_moment)
                          else job.expires_at end
    where job.id = the_id;
end;
$body$;

-- One round of enqueue_unique: all jobs, or none where another came in between (PQ001). Jobs that wait and may
-- be replaced are locked first, in the order of ids, as all statements lock jobs. Then each key is settled
-- before the next one is touched, in the order of keys: a round that holds keys waits for no job. Running jobs
-- are not locked: one that was claimed while this waited for it is let go of by the next round.
-- Answers as enqueue_unique does; and what workers are to be told: place: the position, if it is ready now; kept:
-- whether it had that before; due_in: seconds.
create function :"schema".enqueue_unique_round(jobs jsonb, this_moment timestamptz)
returns table (id bigint, duplicate boolean, state text, replaced boolean, queue text, flow text,
               place bigint, kept boolean, due_in float8)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $body$
#variable_conflict use_column
declare
    doc record;
    live record;
    put record;
    wanted bigint[];
    held bigint[];
    what text[];
    ids bigint[];
    duplicates boolean[];
    states text[];
    replacements boolean[];
    queues text[];
    flows text[];
    places bigint[];
    keeps boolean[];
    dues timestamptz[];
begin
    with wanted as materialized (
        select job.id
        from :"schema".job
        where job.unique_key = any (array(
                  select body ->> 'unique_key'
                  from jsonb_array_elements(jobs) as doc (body)
                  where body -> 'unique' ?| array['replace', 'wait', 'period']))
          and job.worker_id is null
    ),
    locked as materialized (
        select job.id
        from :"schema".job
        where job.id = any (array(select wanted.id from wanted)) and job.worker_id is null
        order by job.id
        for update
    )
    select array(select wanted.id from wanted), array(select locked.id from locked) into wanted, held;
    if cardinality(wanted) <> cardinality(held) then
        raise exception 'pgqueue: a waiting job was claimed' using errcode = 'PQ001';
    end if;

    for doc in
        select job.*
        from (
            select job.*, coalesce(job.rule, '{}') as mode,
                   coalesce(job.rule ->> 'until' = 'started', false)
                   or coalesce(job.rule ?| array['wait', 'period'], false) as until_started,
                   (job.rule ->> 'for')::float8 as for_seconds,
                   (job.rule ->> 'period')::float8 as period, due.run_at as due,
                   case when due.run_at <= this_moment and job.flow is null
                        then nextval(':"schema".position_seq'::regclass) end as place,
                   case when due.run_at <= this_moment and job.flow is not null
                        then :"schema".next_rank(job.flow, coalesce(job.priority, 5), this_moment)
                   end as rank
            from rows from (jsonb_to_recordset(jobs)
                            as (task text, args jsonb, queue text, priority smallint,
                                run_at timestamptz, delay float8, max_attempts integer,
                                timeout real, unique_key text, tags text[], metadata jsonb,
                                expires jsonb, flow text, flow_key text, weight integer,
                                "unique" jsonb),
                            jsonb_array_elements(jobs))
                 with ordinality
                 as job(task, args, queue, priority, run_at, delay, max_attempts, timeout, unique_key,
                        tags, metadata, expires, flow, flow_key, weight, rule, body, n)
                 cross join lateral (
                     select coalesce(
                                this_moment + make_interval(secs => (job.rule ->> 'wait')::float8),
                                job.run_at, this_moment + make_interval(secs => job.delay),
                                this_moment):::"schema".moment as run_at
                 ) as due
        ) as job
        order by job.unique_key collate "C" nulls first, job.n
    loop
        what := case when doc.mode ? 'wait' then '{args,run_at,priority,tags}'
                     when doc.mode ? 'period' then '{args,priority,tags}'
                     when doc.mode ? 'replace'
                     then array(select jsonb_array_elements_text(doc.mode -> 'replace')) end;
        for round in 1..101 loop
            if round > 100 then
                raise exception 'pgqueue: a unique key changed hands 100 times while its job was enqueued'
                    using errcode = 'serialization_failure';
            end if;
            replacements[doc.n] := false;
            -- The newest: above READ COMMITTED, one that ended meanwhile is seen beside one of ours.
            with found as materialized (
                select job.id, job.task, job.queue, job.position, job.run_at, job.enqueued_at,
                       job.worker_id
                from :"schema".job
                where job.unique_key = doc.unique_key
            )
            select * into live from found order by found.id desc limit 1;
            if found then
                ids[doc.n] := live.id;
                duplicates[doc.n] := true;
                states[doc.n] := case when live.worker_id is not null then 'running'
                                      when live.position is not null then 'pending'
                                      when live.run_at = 'infinity' then 'blocked'
                                      else 'scheduled' end;
                exit when what is null or live.worker_id is not null or live.task <> doc.task;
                if live.id <> all (held) then
                    raise exception 'pgqueue: a job came in between' using errcode = 'PQ001';
                end if;
                select * into put
                from :"schema".replace_waiting(
                         live.id, doc.body, what,
                         case when doc.mode ? 'wait'
                              then least(doc.due, live.enqueued_at + make_interval(
                                       secs => (doc.mode ->> 'max_wait')::float8))
                              else doc.due end,
                         this_moment);
                replacements[doc.n] := true;
                queues[doc.n] := live.queue;
                flows[doc.n] := put.flow;
                places[doc.n] := put.place;
                keeps[doc.n] := put.kept;
                dues[doc.n] := put.run_at;
                states[doc.n] := case when put.place is not null then 'pending'
                                      when put.run_at = 'infinity' then 'blocked'
                                      else 'scheduled' end;
                exit;
            end if;
            if doc.for_seconds is not null then
                select past.job_id into live
                from :"schema".unique_past as past
                where past.key = doc.unique_key and past.until > this_moment
                      and past.period_seconds is null;
                if found then
                    ids[doc.n] := live.job_id;
                    duplicates[doc.n] := true;
                    states[doc.n] := coalesce(
                        (select jobs.state from :"schema".jobs where jobs.id = live.job_id
                         order by jobs.finished_at desc nulls first limit 1), 'completed');
                    exit;
                end if;
                select past.until, past.job_id into live
                from :"schema".lock_unique_past(doc.unique_key) as past;
                continue when live.until > this_moment and live.job_id is not null
                    and exists (select from :"schema".unique_past as past
                                where past.key = doc.unique_key and past.period_seconds is null);
            elsif doc.period is not null then
                doc.due := greatest(doc.due, :"schema".next_start(doc.unique_key, doc.period));
            end if;
            insert into :"schema".job as j (position, run_at, enqueued_at, max_attempts,
                                            timeout_seconds, priority, queue, task, args, unique_key,
                                            unique_started, tags, metadata, expires_at, flow, flow_key,
                                            rank, weight)
            values (
                case when doc.due <= this_moment then doc.place end,
                case when doc.due <= this_moment and doc.rank is not null then 'infinity' else doc.due end,
                this_moment, coalesce(doc.max_attempts, 25), doc.timeout, coalesce(doc.priority, 5),
                coalesce(doc.queue, 'default'), doc.task, coalesce(doc.args, '{}'), doc.unique_key,
                case when doc.until_started then true end, doc.tags, doc.metadata,
                :"schema".until(doc.expires, this_moment), doc.flow,
                case when doc.flow is not null then coalesce(doc.flow_key, '') end,
                case when doc.due <= this_moment then doc.rank end,
                case when doc.flow is not null then doc.weight end)
            on conflict (unique_key) where unique_key is not null do nothing
            returning j.id, j.position, j.run_at, j.queue, j.flow, j.flow_key, j.rank into live;
            continue when not found;
            held := held || live.id;
            if live.rank is not null then
                insert into :"schema".ticket (flow, key, rank)
                values (live.flow, live.flow_key, live.rank);
            end if;
            if coalesce(doc.for_seconds, doc.period) is not null then
                update :"schema".unique_past as past
                set until = case when doc.period is null then this_moment else doc.due end
                            + make_interval(secs => coalesce(doc.for_seconds, doc.period)),
                    job_id = live.id,
                    period_seconds = doc.period
                where past.key = doc.unique_key;
            end if;
            ids[doc.n] := live.id;
            duplicates[doc.n] := false;
            states[doc.n] := case when live.position is not null then 'pending'
                                  when live.run_at = 'infinity' then 'blocked'
                                  else 'scheduled' end;
            queues[doc.n] := live.queue;
            flows[doc.n] := live.flow;
            places[doc.n] := live.position;
            dues[doc.n] := live.run_at;
            exit;
        end loop;
    end loop;
    return query
    select one.id, one.duplicate, one.state, one.replaced, one.queue, one.flow, one.place,
           coalesce(one.kept, false),
           case when one.place is null and one.due < 'infinity'
                then extract(epoch from one.due - this_moment)::float8 end
    from unnest(ids, duplicates, states, replacements, queues, flows, places, keeps, dues)
         as one (id, duplicate, state, replaced, queue, flow, place, kept, due);
end;
$body$;

-- Enqueues jobs of which some have unique, checked by the caller, each of those with its unique_key. One by
-- one, in the order of the keys, as enqueue_each does. Answers in order; replaced: the job was there, waited,
-- and was changed.
create function :"schema".enqueue_unique(jobs jsonb)
returns table (id bigint, duplicate boolean, state text, replaced boolean)
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $body$
declare
    this_moment constant timestamptz := statement_timestamp();
    done record;
begin
    -- Before the first position: see enqueue_checked.
    perform pg_current_xact_id();
    -- Where there is no room it makes none of them, and answers nothing.
    if exists (select from :"schema".queue where full_at is not null)
       or exists (select from :"schema".flow where settings ->> 'max_waiting' is not null) then
        if exists (select from :"schema".find_full(jobs)) then
            return;
        end if;
    end if;
    for round in 1..101 loop
        if round > 100 then
            raise exception 'pgqueue: the jobs of unique keys changed 100 times while others were enqueued'
                using errcode = 'serialization_failure';
        end if;
        begin
            select array_agg(one.id) as ids, array_agg(one.duplicate) as duplicates,
                   array_agg(one.state) as states, array_agg(one.replaced) as replacements,
                   array_agg(one.queue) filter (where one.place is not null and not one.kept) as ready,
                   array_agg(one.flow) filter (where one.state = 'blocked') as flows,
                   array_agg(one.queue) filter (where one.state = 'blocked') as flow_queues,
                   min(one.due_in) filter (where one.due_in > 0) as soonest,
                   (select array_agg('r:' || again.place || ':' || again.queue)
                    from (select lane.queue, min(lane.place) as place
                          from unnest(array_agg(one.queue) filter (where one.kept),
                                      array_agg(one.place) filter (where one.kept)) as lane (queue, place)
                          group by lane.queue) as again) as again
              into done
            from :"schema".enqueue_unique_round(jobs, this_moment) as one;
            exit;
        exception when sqlstate 'PQ001' then
            null;
        end;
    end loop;
    if exists (select from :"schema".queue where waiting) then
        perform :"schema".wake(done.ready);
        perform :"schema".wake_flows(done.flows, done.flow_queues);
        perform :"schema".notify(payload) from unnest(done.again) as payload;
        if done.soonest < 60 then
            perform :"schema".notify('s:' || done.soonest::text);
        end if;
    end if;
    return query select * from unnest(done.ids, done.duplicates, done.states, done.replacements);
end;
$body$;

-- One row for each queue with limits. Who takes permits or tokens locks it. Nobody updates it.
create table :"schema".limiter (
    queue text primary key
);

-- How many jobs of a queue a worker may run: n. wants: how many it would run. since: when n became zero, or
-- did not stay so. The permits of a worker that is not registered are void.
create table :"schema".permit (
    queue     text not null,
    worker_id bigint not null,
    n         integer not null,
    wants     integer not null,
    since     timestamptz not null,
    primary key (queue, worker_id)
) with (fillfactor = 50);

-- tat: when the tokens of a queue's rate are full again. No unique index, as in line: the newest is found first.
create table :"schema".queue_tokens (
    queue text not null,
    tat   timestamptz not null
) with (fillfactor = 50);
create index queue_tokens_tat on :"schema".queue_tokens (queue, tat);
-- As line and ticket.
alter table :"schema".queue_tokens replica identity full;

-- Locks the limits of a queue until the end of the transaction.
create function :"schema".lock_limits(the_queue text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $body$
begin
    perform from :"schema".limiter where queue = the_queue for no key update;
    if not found then
        insert into :"schema".limiter values (the_queue) on conflict do nothing;
        perform from :"schema".limiter where queue = the_queue for no key update;
    end if;
end;
$body$;

-- Tells the worker that has waited longest for permits of a queue that there is one.
create function :"schema".wake_permits(the_queue text, but bigint) returns void
language sql volatile set search_path = ''
begin atomic
    select :"schema".call('p:' || longest.worker_id || ':' || the_queue)
    from (select permit.worker_id
          from :"schema".permit
               join :"schema".worker on worker.id = permit.worker_id
          where permit.queue = the_queue and permit.n = 0 and permit.wants > 0 and permit.worker_id <> but
          order by permit.since
          limit 1) as longest;
end;

-- Answers in may how many jobs of a queue a worker may run at once from now on, where it would run so many as
-- wanted, and in held how many permits it has: it keeps so many as it keeps busy, until it asks again. All
-- grants of a queue together are never above its limit, unless that was lowered. Workers share alike; one that
-- others of its kind cannot stand in for gets its turn after a second.
create function :"schema".take_permits(
    the_queue text, the_worker bigint, wanted integer, busy integer, out may integer, out held integer)
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
declare
    most integer;
    mine record;
    fair record;
    share integer;
begin
    perform :"schema".lock_limits(the_queue);
    -- What follows has younger snapshots than that lock, so that it sees all grants.
    select (settings ->> 'concurrency')::integer into most from :"schema".queue where name = the_queue;
    if most is null then
        delete from :"schema".permit where queue = the_queue and worker_id = the_worker;
        may := wanted;
        held := wanted;
        return;
    end if;
    select coalesce(sum(p.n) filter (where p.worker_id = the_worker), 0)::integer as n,
           coalesce(sum(p.wants) filter (where p.worker_id = the_worker), 0)::integer as wants,
           min(p.since) filter (where p.worker_id = the_worker) as since,
           coalesce(sum(p.n) filter (where p.worker_id <> the_worker), 0)::integer as others,
           coalesce(bool_or(p.n = 0 and p.wants > 0 and p.worker_id <> the_worker), false) as waited_for,
           coalesce(bool_or(p.n = 0 and p.wants > 0 and p.kind is distinct from me.kind
                            and p.since < clock_timestamp() - interval '1 s'), false) as starved,
           me.id is not null as registered
      into mine
    from (select 1) as one
         left join :"schema".worker as me on me.id = the_worker
         left join (select permit.*, worker.kind
                    from :"schema".permit
                         join :"schema".worker on worker.id = permit.worker_id
                    where permit.queue = the_queue) as p on true
    group by me.id;
    -- Water fills vessels of these sizes: how high does it stand? Nowhere below what is wanted: no answer.
    select (most - below) / vessels as lower, (most - below + vessels - 1) / vessels as upper into fair
    from (select size, (sum(size) over (order by size, id) - size)::bigint as below,
                 count(*) over () - row_number() over (order by size, id) + 1 as vessels
          from (select p.worker_id as id, greatest(p.wants, p.n) as size
                from :"schema".permit as p join :"schema".worker as w on w.id = p.worker_id
                where p.queue = the_queue and p.worker_id <> the_worker
                union all
                select the_worker, wanted) as vessel) as filled
    where size * vessels > most - below
    order by size, vessels desc
    limit 1;
    share := fair.upper;
    if mine.starved and mine.n > 0
       and (fair.lower > 0 or mine.since < clock_timestamp() - interval '1 s') then
        share := fair.lower;
    end if;
    may := greatest(0, least(wanted, share, most - mine.others));
    if not coalesce(mine.registered, false) then
        may := 0;
        held := 0;
        return;
    end if;
    held := greatest(may, least(busy, mine.n));
    if held > mine.n then
        -- A server that crashes must not give them to another while this worker goes on.
        perform set_config('synchronous_commit', 'on', true);
    end if;
    if held = 0 and wanted = 0 then
        delete from :"schema".permit where queue = the_queue and worker_id = the_worker;
    elsif mine.since is null then
        insert into :"schema".permit (queue, worker_id, n, wants, since)
        values (the_queue, the_worker, held, wanted, clock_timestamp());
    elsif (held, wanted) <> (mine.n, mine.wants) then
        update :"schema".permit
        set n = held, wants = wanted,
            since = case when (n = 0) = (held = 0) then since else clock_timestamp() end
        where queue = the_queue and worker_id = the_worker;
    end if;
    if mine.waited_for and held + mine.others < most then
        perform :"schema".wake_permits(the_queue, the_worker);
    end if;
    -- Those who hold some that they do not use give them back; told once.
    if may < wanted and mine.wants <= mine.n then
        perform :"schema".call('p:0:' || the_queue);
    end if;
end;
$body$;

-- Takes tokens of the rate of a queue: up to most, of those that come within a quarter of a second; gives back
-- unused ones that were taken before. The first may be used after so many seconds as first says, none below
-- zero, and each other one so many seconds as each says after the one before. wait: the seconds until more can
-- be had. No rate: null in all of them.
create function :"schema".take_tokens(
    the_queue text, most integer, unused integer, out tokens integer, out first float8, out each float8,
    out wait float8)
language plpgsql volatile set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off
as $body$
declare
    ahead constant float8 := 0.25;
    now timestamptz;
    burst integer;
    full_in float8;
    row_id tid;
begin
    select 1 / (settings ->> 'rate')::float8,
           coalesce((settings ->> 'burst')::integer,
                    greatest(1, floor((settings ->> 'rate')::float8 / 10))::integer)
      into each, burst
    from :"schema".queue where name = the_queue;
    if each is null then
        return;
    end if;
    perform :"schema".lock_limits(the_queue);
    now := clock_timestamp();
    select ctid, extract(epoch from greatest(tat, now - interval '1 h') - now)
      into row_id, full_in
    from :"schema".queue_tokens
    where queue = the_queue
    order by tat desc
    limit 1;
    full_in := greatest(0, coalesce(full_in, 0) - unused * each);
    -- Of a slower rate before, or of a clock that went back: no more than can have been taken.
    full_in := least(full_in, ahead + burst * each);
    first := full_in - (burst - 1) * each;
    tokens := greatest(0, least(most, floor((ahead - first) / each + 1e-9)::integer + 1));
    wait := greatest(0, first + tokens * each - ahead);
    full_in := full_in + tokens * each;
    if tokens > 0 then
        perform set_config('synchronous_commit', 'on', true);  -- as in take_permits
    end if;
    if row_id is null then
        insert into :"schema".queue_tokens (queue, tat)
        values (the_queue, now + make_interval(secs => full_in));
    elsif tokens > 0 or unused > 0 then
        update :"schema".queue_tokens set tat = now + make_interval(secs => full_in) where ctid = row_id;
    end if;
end;
$body$;

-- Each minute one worker calls heal_lines.
insert into :"schema".duty (name, due_at) values ('lines', now()) on conflict do nothing;

-- Backpressure. full_at: since when a queue has had as many ready jobs as its max_depth, or more; null: it has
-- not. depth: how many were counted then. A duty counts.
alter table :"schema".queue
    add column full_at timestamptz,
    add column depth integer;
insert into :"schema".duty (name, due_at) values ('depth', now());

-- What these jobs would find full: their queues; and the lines of their flows and keys, where these jobs would
-- make more than max_waiting. Documents with bounded = false are let in: jobs of schedules are. Of many that
-- are full it answers the first by name. It counts no further than max_waiting.
create function :"schema".find_full(jobs jsonb)
returns table (queue text, flow text, flow_key text, depth integer, most integer)
language sql stable set search_path = ''
set enable_seqscan = off set enable_bitmapscan = off
begin atomic
    with doc as materialized (
        select coalesce(one.body ->> 'queue', 'default') as queue, one.body ->> 'flow' as flow,
               coalesce(one.body ->> 'flow_key', '') as flow_key,
               coalesce((one.body ->> 'delay')::pg_catalog.float8 <= 0, true)
               and coalesce((one.body ->> 'run_at')::pg_catalog.timestamptz <= pg_catalog.statement_timestamp(),
                            true) as due
        from pg_catalog.jsonb_array_elements(jobs) as one (body)
        where one.body -> 'bounded' is distinct from 'false'
    ),
    full_queue as (
        select lane.name, lane.depth, (lane.settings ->> 'max_depth')::pg_catalog.int4 as most
        from :"schema".queue as lane
        where lane.full_at is not null and lane.settings ->> 'max_depth' is not null
          and lane.name in (select doc.queue from doc)
        order by lane.name
        limit 1
    ),
    asked as (
        select doc.flow, doc.flow_key, min(doc.queue) as queue, count(*)::pg_catalog.int4 as n
        from doc
        where doc.flow is not null and doc.due
        group by doc.flow, doc.flow_key
    ),
    full_line as (
        select asked.queue, asked.flow, asked.flow_key, waiting.n, bound.most
        from asked
             join :"schema".flow as lane
                 on lane.name = asked.flow and lane.settings ->> 'max_waiting' is not null
             cross join lateral (
                 select (lane.settings ->> 'max_waiting')::pg_catalog.int4 as most
             ) as bound
             cross join lateral (
                 select count(*)::pg_catalog.int4 as n
                 from (select from :"schema".job
                       where job.flow = asked.flow and job.flow_key = asked.flow_key
                         and job.flow is not null and job.position is null and job.rank > 0
                       limit bound.most) as line
             ) as waiting
        where waiting.n + asked.n > bound.most
        order by asked.flow, asked.flow_key
        limit 1
    )
    select full_queue.name, null, null, full_queue.depth, full_queue.most from full_queue
    union all
    select full_line.queue, full_line.flow, full_line.flow_key, full_line.n, full_line.most from full_line;
end;

-- Fails for these jobs, for which there was no room.
create function :"schema".refuse_full(jobs jsonb) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $body$
declare
    found_full record;
begin
    select * into found_full from :"schema".find_full(jobs) limit 1;
    if found_full.flow is null then
        raise exception 'pgqueue: queue "%" is full', coalesce(found_full.queue, 'default')
            using errcode = 'configuration_limit_exceeded',
                  detail = pg_catalog.format('%s jobs are ready, and max_depth is %s.',
                                             found_full.depth, found_full.most);
    end if;
    raise exception 'pgqueue: the line of flow "%" is full', found_full.flow
        using errcode = 'configuration_limit_exceeded',
              detail = pg_catalog.format('%s jobs of key "%s" wait, and max_waiting is %s.',
                                         found_full.depth, found_full.flow_key, found_full.most);
end;
$body$;

-- Takes back a job that this statement made and that nobody saw: the transaction goes on without it.
create function :"schema".take_back(new_id bigint) returns void
language sql volatile set search_path = ''
begin atomic
    delete from :"schema".job where id = new_id;
end;

-- As in the first migration; 0 where the queue is full. It looks at that where it looks for who waits: so for
-- the 40 ms at most in which a client need not look, it is let in.
create or replace function :"schema".enqueue_one(task pg_catalog.text, args pg_catalog.jsonb,
                                                 queue pg_catalog.text, priority pg_catalog.int4,
                                                 max_attempts pg_catalog.int4, look pg_catalog.bool)
returns pg_catalog.int8
language plpgsql volatile
as $body$
declare
    new_id pg_catalog.int8;
begin
    insert into :"schema".job as j (position, queue, task, args, priority, max_attempts)
    values (
        -- The transaction has its id before its position: see enqueue_checked.
        case when pg_catalog.pg_current_xact_id() is not null
             then pg_catalog.nextval(':"schema".position_seq'::pg_catalog.regclass) end,
        $3, $1, $2, $4, $5)
    returning j.id into new_id;
    if look then
        if exists (select from :"schema".queue as lane
                   where lane.waiting or lane.full_at is not null) then
            -- While some queue is full, the client looks each time.
            if exists (select from :"schema".queue as lane
                       where lane.full_at is not null and pg_catalog.texteq(lane.name, $3)) then
                perform :"schema".take_back(new_id);
                return 0;
            end if;
            perform :"schema".wake(array[$3]);
        -- An older snapshot shows who waited then, which tells the client nothing for its next jobs.
        elsif pg_catalog.texteq(pg_catalog.current_setting('transaction_isolation'),
                                'read committed') then
            return pg_catalog.int8um(new_id);
        end if;
    end if;
    return new_id;
end;
$body$;

-- As in the first migration; none where the queue is full.
create or replace function :"schema".enqueue_alike(task text, args jsonb, queue text, priority integer,
                                                   max_attempts integer)
returns bigint[]
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $body$
declare
    new_ids bigint[];
begin
    perform pg_catalog.pg_current_xact_id();
    if exists (select from :"schema".queue as lane where lane.full_at is not null and lane.name = $3) then
        return '{}';
    end if;
    with made as (
        insert into :"schema".job as j (position, queue, task, args, priority, max_attempts)
        select pg_catalog.nextval(':"schema".position_seq'::pg_catalog.regclass), $3, $1, one.args,
               $4, $5
        from pg_catalog.jsonb_array_elements($2) as one (args)
        returning j.id
    )
    select coalesce(array_agg(made.id), '{}') into new_ids
    from made;
    if exists (select from :"schema".queue as lane where lane.waiting) then
        perform :"schema".wake(array[$3]);
    end if;
    return new_ids;
end;
$body$;
