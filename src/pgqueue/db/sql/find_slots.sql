-- The schedules that this worker may fire, those first that are due first: those that are rows alone, and
-- those that its code declares. $1 what its code declares, $2 names to leave out, $3 how many at most.
-- Answers also those that are not due yet, so that the next one is known; and the time.
-- needs: schedule_due
-- locks: nothing
select name, next_at, revision, settings::text, clock_timestamp() as now
from :"schema".schedule
where paused_at is null and orphaned_at is null
  and (declared is null or name = any ($1::text[]))
  and name <> all ($2::text[])
order by next_at, name
limit $3::integer
