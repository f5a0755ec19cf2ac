-- Every way in, for jobs of flows, unique jobs, and queues that may be full.
-- breaking: no

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
