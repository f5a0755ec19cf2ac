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

-- Each minute one worker calls heal_lines.
insert into :"schema".duty (name, due_at) values ('lines', now()) on conflict do nothing;
