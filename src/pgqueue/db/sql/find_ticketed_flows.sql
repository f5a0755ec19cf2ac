-- The flows to look at: those with tickets, and, if $3, those with a key whose turn it is.
-- $1 an object that has for each flow the ticket and the turn below which nothing of it is to be found on the
-- server that began at $2: tickets and lines that are gone would be walked over.
-- Tickets of flows without a row are found in the gaps between those that have one.
-- needs: the primary key of flow, ticket_flow and line_turn, a probe a flow
-- locks: nothing
with floors as materialized (
    select case when pg_postmaster_start_time() = $2::timestamptz then $1::text::jsonb else '{}' end as told
),
known as materialized (
    select flow.name, coalesce(((select told from floors) -> flow.name ->> 0)::bigint, 0) as ticket,
           coalesce(((select told from floors) -> flow.name ->> 1)::timestamptz, '-infinity') as turn,
           flow.paused_at is null as goes
    from :"schema".flow
),
gap as materialized (
    select flow.name as low, lead(flow.name) over (order by flow.name) as high
    from :"schema".flow
    union all
    select '', (select flow.name from :"schema".flow order by flow.name limit 1)
)
select name
from known
where exists (select from :"schema".ticket where ticket.flow = known.name and ticket.id > known.ticket)
   or $3::boolean and goes
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
