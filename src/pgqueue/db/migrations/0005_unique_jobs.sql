-- Unique jobs: until they start, for a period, replaced, debounced, throttled.
-- breaking: no

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
-- be replaced are locked first. If somebody else has locked one, the round ends and says which: who holds jobs
-- waits for none, as the other may wait for a key. Then each key is settled before the next one is touched, in the
-- order of keys. Running jobs are not locked: one that was claimed meanwhile is let go of by the next round.
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
        for update skip locked
    )
    select array(select wanted.id from wanted), array(select locked.id from locked) into wanted, held;
    if cardinality(wanted) <> cardinality(held) then
        raise exception 'pgqueue: a waiting job is locked, or was claimed'
            using errcode = 'PQ001',
                  detail = (select id from unnest(wanted) as id where id <> all (held) order by id limit 1);
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
    locked text;
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
    for round in 1..1001 loop
        if round > 1000 then
            raise exception 'pgqueue: the jobs of unique keys changed 1,000 times while others were enqueued'
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
            get stacked diagnostics locked = pg_exception_detail;
        end;
        if locked <> '' then
            -- Waits for it while it holds nothing, and lets go of it again.
            begin
                perform from :"schema".job where job.id = locked::bigint for update;
                raise exception 'pgqueue: it was waited for' using errcode = 'PQ001';
            exception when sqlstate 'PQ001' then
                null;
            end;
        end if;
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
