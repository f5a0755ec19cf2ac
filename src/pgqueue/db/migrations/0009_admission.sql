-- Admissions write a line once for several jobs, and look at new keys in their turn.
-- breaking: no

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
create or replace function :"schema".admit(
    the_flow text, ready_most integer, position_floor bigint, ticket_floor bigint,
    turn_floor timestamptz,
    out admitted integer, out more boolean, out wait float8, out lowest bigint,
    out first_turn timestamptz, out newest_ticket bigint, out following bigint, out oldest bigint,
    out cleared boolean, out queues text[])
language plpgsql volatile set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
-- The parts of the large statement are joined by hashing, though the planner believes each to be small; what
-- is to be probed by an index is a lateral subquery or an array of row ids, which leaves no other way. A worker's
-- session has no sorts: with a sort forbidden, PostgreSQL 18 may take a nested loop in place of hashing and a sort.
set enable_seqscan = off set enable_bitmapscan = off set enable_mergejoin = off set enable_nestloop = off
set enable_hashjoin = on set enable_sort = on
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
    one record;
    state record;
    line record;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'pgqueue: admit() needs READ COMMITTED' using errcode = 'PQ002';
    end if;
    -- Before the lock, which gives us our transaction id: whoever had taken one of these tickets by now has a
    -- lower one, and following is ours. Read later, it would count tickets of transactions that began after us.
    select last_value - (not is_called)::integer into newest_ticket from :"schema".ticket_id_seq;
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
            newest_ticket := null;
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

    -- One key alone has tickets, and no other one its turn, as with each end of a job of a key whose limit is low.
    -- Small statements do what the large one does, up to one that finds something else: that is left to the large
    -- one. Rows are told from others by more than their place, which another one may have from one statement to
    -- the next.
    <<single>>
    begin
        exit single when f.rate is not null or f.key_rate is not null or f.ordered or f.paused or wait is not null
                         or paused <> '{}';
        select array_agg(t.id) as ids, min(t.key) as key, min(t.rank) as rank,
               min(t.key) = max(t.key) and count(*) < 20 and count(t.used) + count(t.held_until) = 0 as alone
          into one
        from (select id, key, rank, used, held_until
              from :"schema".ticket
              where flow = the_flow and id > ticket_floor
              order by id
              limit 20) as t;
        exit single when one.alone is not true
                         or exists (select from :"schema".line as l
                                    where l.flow = the_flow and l.turn >= turn_floor and l.turn <= moment
                                      and l.key <> one.key);
        select used.*, l.*, o.*,
               greatest(0, least(coalesce(f.concurrency, unlimited) - used.n, ready_most - used.ready)) as room,
               case when o.paused_at is not null then 0
                    else greatest(0, coalesce(o.concurrency, f.key_concurrency, unlimited) - used.of_key)
               end as key_room,
               case when l.row_id is null then one.rank - 1 else least(l.head, one.rank - 1) end as above
          into state
        from (select count(*)::integer as n, count(*) filter (where j.worker_id is null)::integer as ready,
                     count(*) filter (where j.flow_key = one.key)::integer as of_key, min(j.position) as lowest
              from :"schema".job as j
              where j.flow = the_flow and j.flow is not null and j.position is not null
                and j.position > position_floor) as used
             left join lateral (
                 select l.ctid as row_id, l.turn as was, l.head, l.served_at, l.tat
                 from :"schema".line as l
                 where l.flow = the_flow and l.key = one.key
                 order by l.turn desc
                 limit 1
             ) as l on true
             left join lateral (
                 select o.concurrency, o.weight, o.paused_at, o.held_until
                 from :"schema".flow_key as o
                 where o.flow = the_flow and o.key = one.key
                 limit 1
             ) as o on true;
        exit single when state.held_until > moment or state.was > moment and state.was < 'infinity'
                         or state.above is null;
        select coalesce(array_agg(j.row_id order by j.rank), '{}') as rows,
               coalesce(array_agg(j.rank order by j.rank), '{}') as ranks,
               least(state.room, state.key_room, count(*)::integer) as n,
               count(*) > least(state.room, state.key_room) as stays,
               coalesce(bool_or(j.run_at < 'infinity'), false) as blocked,
               case when state.was < 'infinity' then state.was else moment end as asked
          into line
        from (select j.ctid as row_id, j.rank, j.run_at
              from :"schema".job as j
              where j.flow = the_flow and j.flow_key = one.key and j.rank > state.above
                and j.flow is not null and j.position is null and j.rank > 0
              order by j.rank
              limit least(state.room, state.key_room) + 1) as j;
        exit single when line.blocked;
        with unlocked as materialized (
            select j.flow, j.flow_key, j.rank, j.position, j.run_at
            from :"schema".job as j
            where j.ctid = any (line.rows[1:(line.n)])
            for update skip locked
        )
        select count(*) into admitted
        from unlocked
        where flow = the_flow and flow_key = one.key and rank = any (line.ranks[1:(line.n)])
          and position is null and run_at = 'infinity';
        if admitted < line.n then
            admitted := 0;
            exit single;
        end if;
        if admitted > 0 then
            with placed as materialized (
                select row_id, nextval(':"schema".position_seq'::regclass) as position
                from unnest(line.rows[1:(line.n)]) with ordinality as chosen (row_id, place)
                order by place
            ),
            moved as (
                update :"schema".job as j
                set position = placed.position, run_at = moment
                from placed
                where j.ctid = any (array(select row_id from placed)) and j.ctid = placed.row_id
                returning j.queue
            )
            select array_agg(distinct moved.queue::text) into queues from moved;
        end if;
        delete from :"schema".ticket where flow = the_flow and id = any (one.ids);
        lowest := state.lowest;
        first_turn := line.asked;
        held := case when state.key_room <= admitted then 'infinity'
                     else least(moment, line.asked + interval '1 microsecond'
                          * floor(60 * admitted / coalesce(state.weight, 1)::float8
                                  + case when admitted > 0 then random() else 0 end)) end;
        if state.row_id is null and line.stays
           or not line.stays or held <> state.was or state.above < state.head
           or state.served_at < moment - interval '1 second' then
            delete from :"schema".line where ctid = state.row_id;
            if line.stays then
                insert into :"schema".line (flow, key, turn, head, served_at, tat)
                values (the_flow, one.key, held, coalesce(line.ranks[line.n], state.above), moment,
                        coalesce(state.tat, 'epoch'));
            end if;
        end if;
        select extract(epoch from l.turn - moment) into wait
        from :"schema".line as l
        where l.flow = the_flow and l.turn > moment and l.turn < 'infinity'
        order by l.turn
        limit 1;
        if admitted > 0 and exists (select from :"schema".queue where waiting) then
            perform :"schema".wake(queues);
        end if;
        return;
    end;

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
        select level.lowest, level.saved, level.tokens, budget.charged, budget.held_until, place.room,
               greatest(1, least(place.room / 32, f.key_concurrency, 8)) as at_once
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
             ) as level,
             lateral (
                 select case when f.paused or budget.held_until > moment then 0
                             else greatest(0, least(coalesce(f.concurrency, unlimited) - level.n,
                                                    ready_most - level.ready, floor(level.tokens + 1e-9)))
                        end::integer as room
             ) as place
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
    -- Those whose turn it is, until so many jobs are found as there is room for: of a line only as many as it may
    -- get at once, so that a line is written once for several jobs.
    turned as materialized (
        select row_id, key, turn, head, served_at, tat, count(*) as found
        from (select l.ctid as row_id, l.key, l.turn, l.head, l.served_at, l.tat
              from :"schema".line as l
                   left join lateral (
                       select true as there
                       from :"schema".job as j
                       where j.flow = the_flow and j.flow_key = l.key and j.rank > l.head
                         and j.flow is not null and j.position is null and j.rank > 0
                       limit (select at_once from total)
                   ) as waiting on true
              where l.flow = the_flow and l.turn >= turn_floor and l.turn <= moment
              order by l.turn
              limit (select room from total)) as of_jobs
        group by row_id, key, turn, head, served_at, tat
    ),
    -- And those with a ticket that are new, wait for a limit or a rate, got a job before their head, or are charged.
    -- Where more are new than there is room for, the others get a line, and their jobs are looked at in their turn.
    candidate as materialized (
        select row_id, turned.key, turn as was, turn, least(head, arrived.rank - 1) as head,
               head as old_head, served_at, tat, charged, arrived.held_until, false as unseen
        from turned left join arrived on arrived.key = turned.key
        union all
        select l.row_id, a.key, l.turn,
               case when l.turn = 'infinity' or l.turn is null then (select now from clock)
                    else l.turn end,
               coalesce(least(l.head, a.rank - 1), 0), l.head, l.served_at, coalesce(l.tat, 'epoch'),
               a.charged, a.held_until,
               l.row_id is null and f.key_rate is null
               and row_number() over (partition by l.row_id is null order by a.rank) > (select room from total)
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
                                              / sum(coalesce(o.weight, 1)::float8)
                                                    filter (where not c.unseen) over ())))::integer as share
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
        where not s.unseen
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
    -- The first job of each line that was left: what it takes, where a rate asks.
    left_first as materialized (
        select distinct on (probed.key) probed.key, probed.cost
        from probed left join chosen on chosen.row_id = probed.row_id
        where f.key_rate is not null and not blocked and chosen.row_id is null
        order by probed.key, probed.rank
    ),
    line_now as materialized (
        select s.row_id, s.key, s.was, s.turn as asked, s.head, s.old_head, s.served_at, s.tat as old_tat,
               s.key_room, s.key_held, s.share_weight, coalesce(v.n, 0) as n,
               v.n is null and p.n_chosen > 0 as locked,
               s.unseen, s.unseen or coalesce(p.n, 0) > coalesce(v.n, 0) as has_more,
               s.unseen or coalesce(p.n_free, 0) > coalesce(v.n, 0) as has_free,
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
               and (exists (select from next
                            where (moved_n.n > 0 or unseen) and has_free and key_room - n > 0 and turn <= moment)
                    or (select coalesce(sum(found), 0) from turned) = total.room
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
