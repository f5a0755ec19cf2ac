"""The invariants of admission (docs/internals/flows.md), asked of the tables."""

from __future__ import annotations

from tests.flows.life import Life

__all__ = ["ADMITTED", "broken", "crowded", "out_of_order"]

# The admitted jobs: a job of a flow has a position only from an admission.
ADMITTED = (
    "select id, flow, flow_key as key, position, weight, rank from @.job"
    " where flow is not null and position is not null"
)

# I1, where the last admission of the flow added something.
_CROWDED = """
select flow.name as flow, null as key, count(*) as n
from @.flow join @.job on job.flow = flow.name and job.position is not null
where flow.name = $1
group by flow.name
having count(*) > coalesce((flow.settings ->> 'concurrency')::integer,
                           case when declared is null and changed is null then 1 end)
union all
select flow.name, job.flow_key, count(*)
from @.flow
     join @.job on job.flow = flow.name and job.position is not null
     left join @.flow_key as o on o.flow = flow.name and o.key = job.flow_key
where flow.name = $1 and job.flow_key = any ($2)
group by flow.name, job.flow_key, o.concurrency
having count(*) > case when flow.settings ->> 'ordered' = 'true' then 1
                       when o.concurrency is not null then o.concurrency
                       else (flow.settings ->> 'key_concurrency')::integer end
"""

# A job of an ordered flow was admitted past one that was in line, or waits for its retry.
_OUT_OF_ORDER = """
select j.id, before.id as passed
from @.job as j
     join @.flow on flow.name = j.flow and flow.settings ->> 'ordered' = 'true'
     join @.job as before on before.flow = j.flow and before.flow_key = j.flow_key
                         and before.rank > 0 and before.rank < j.rank
where j.id = any ($1::bigint[])
"""

# I2: nobody would look at these jobs.
_UNREACHED = """
select 'I2: ' || first.flow || '/' || first.key || ' is reached by nothing' as what
from (select flow, flow_key as key, min(rank) as rank
      from @.job where flow is not null and position is null and rank > 0
      group by flow, flow_key) as first
where not exists (select from @.line
                  where line.flow = first.flow and line.key = first.key and line.head < first.rank)
  and not exists (select from @.ticket
                  where ticket.flow = first.flow and ticket.key = first.key
                    and ticket.rank <= first.rank)
union all
select 'a line is there twice: ' || flow || '/' || key
from @.line group by flow, key having count(*) > 1
"""

# I3: these lines stand still for no reason.
_PARKED = """
select 'I3: ' || line.flow || '/' || line.key || ' stands still' as what
from @.line
     join @.flow on flow.name = line.flow
     left join @.flow_key as o on o.flow = line.flow and o.key = line.key
where line.turn = 'infinity'
  and o.paused_at is null
  and not exists (select from @.ticket where ticket.flow = line.flow and ticket.key = line.key)
  and (select count(*) from @.job where job.flow = line.flow and job.flow_key = line.key
                                    and job.position is not null)
      < case when flow.settings ->> 'ordered' = 'true' then 1
             when o.concurrency is not null then o.concurrency
             else coalesce((flow.settings ->> 'key_concurrency')::integer, 2147483647) end
  and exists (select from @.job left join @.queue on queue.name = job.queue
              where job.flow = line.flow and job.flow_key = line.key and job.rank > 0
                and job.position is null and job.run_at = 'infinity' and queue.paused_at is null
                and (not coalesce(flow.settings ->> 'ordered' = 'true', false)
                     or job.rank = (select min(rank) from @.job as j
                                    where j.flow = line.flow and j.flow_key = line.key
                                      and j.position is null and j.rank > 0)))
"""


async def broken(look: Life) -> list[str]:
    """What does not hold of I2 and I3."""
    rows = [*await look.sql(_UNREACHED), *await look.sql(_PARKED)]
    return [row["what"] for row in rows]


async def crowded(look: Life, flow: str, keys: list[str]) -> list[str]:
    """I1: what of the flow, or of these keys of it, is above its limit."""
    rows = await look.sql(_CROWDED, flow, keys)
    return [f"I1: {row['flow']}/{row['key']} has {row['n']} admitted" for row in rows]


async def out_of_order(look: Life, ids: list[int]) -> list[str]:
    """What of an ordered flow was admitted past another job of its key."""
    rows = await look.sql(_OUT_OF_ORDER, ids)
    return [f"order: job {row['id']} passed job {row['passed']}" for row in rows]
