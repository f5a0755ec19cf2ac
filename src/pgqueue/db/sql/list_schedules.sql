-- All schedules, by name, and whether any worker is registered that knows of schedules.
-- needs: schedule and worker have few rows
-- locks: nothing
select name, next_at, paused_at, orphaned_at, fired_at, changed_at, changed_by, in_code, declared_by,
       settings::text, declared::text, changed::text, clock_timestamp() as now,
       exists (select from :"schema".worker) as staffed
from :"schema".schedules
order by name
