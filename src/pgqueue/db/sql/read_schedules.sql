-- Schedules by name, with all that is said of them, for whoever is to change or to preview them.
-- $1 names. Answers also the time, and for how many seconds one has been an orphan.
-- needs: the primary key of schedule
-- locks: nothing
select wanted.name, schedule.next_at, coalesce(schedule.revision, 0) as revision, schedule.declared::text,
       schedule.changed::text, schedule.paused_at is not null as paused, schedule.fires::text,
       extract(epoch from clock_timestamp() - schedule.orphaned_at)::float8 as orphaned_seconds,
       clock_timestamp() as now
from unnest($1::text[]) as wanted (name)
     left join :"schema".schedule on schedule.name = any (array[wanted.name])
