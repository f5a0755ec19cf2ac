-- Schedules that do not fire: those whose slot has been due for more than a minute, the latest first, and those
-- that the code of no worker declares any more. Paused ones are meant to stand still. $1 how many of each at most.
-- needs: schedule_due; the orphaned ones are found by reading schedule, which has few rows
-- locks: nothing
with late as (
    select name, extract(epoch from clock_timestamp() - next_at)::float8 as late, false as orphaned
    from :"schema".schedules
    where paused_at is null and orphaned_at is null
      and next_at < statement_timestamp() - interval '1 minute'
    order by next_at, name
    limit $1::integer
),
orphaned as (
    select name, 0.0::float8 as late, true as orphaned
    from :"schema".schedules
    where paused_at is null and orphaned_at is not null
    order by name
    limit $1::integer
)
select name, late, orphaned
from (select * from late union all select * from orphaned) as found
order by orphaned, late desc, name
