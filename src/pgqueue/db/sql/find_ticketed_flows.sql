-- The flows to look at: those with tickets, and, if $5, those with a key whose turn it is.
-- $1 flows, $2 the tickets and $3 the turns below which nothing of each is to be found on the server that
-- began at $4: tickets and lines that are gone would be walked over.
-- Tickets of flows without a row are found in the gaps between those that have one.
-- needs: the primary key of flow, ticket_flow and line_turn, a probe a flow
-- locks: nothing
with known as materialized (
    select flow.name, coalesce(floor.ticket, 0) as ticket, coalesce(floor.turn, '-infinity') as turn,
           flow.paused_at is null as goes
    from :"schema".flow
         left join unnest($1::text[], $2::bigint[], $3::timestamptz[]) as floor (name, ticket, turn)
             on floor.name = flow.name and pg_postmaster_start_time() = $4::timestamptz
),
gap as materialized (
    select known.name as low,
           (select flow.name from :"schema".flow where flow.name > known.name
            order by flow.name limit 1) as high
    from known
    union all
    select '', (select flow.name from :"schema".flow order by flow.name limit 1)
)
select name
from known
where exists (select from :"schema".ticket where ticket.flow = known.name and ticket.id > known.ticket)
   or $5::boolean and goes
      and exists (select from :"schema".line
                  where line.flow = known.name and line.turn >= known.turn
                    and line.turn <= clock_timestamp())
union all
select new.flow
from gap
     cross join lateral (
         select ticket.flow
         from :"schema".ticket
         where ticket.flow > gap.low and ticket.flow < gap.high
         order by ticket.flow
         limit 1
     ) as new
where gap.high is not null
union all
select new.flow
from gap
     cross join lateral (
         select ticket.flow from :"schema".ticket where ticket.flow > gap.low order by ticket.flow limit 1
     ) as new
where gap.high is null
