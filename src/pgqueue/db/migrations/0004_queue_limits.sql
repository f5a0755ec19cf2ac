-- Limits of queues: permits, tokens, how many jobs may wait; and workers that are overloaded.
-- breaking: no

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
