-- Marks schedules that code declared, and that no worker's code declares any more: they were due so long ago
-- that others would have fired them. Nobody looks at them again until code declares them.
-- $1 for how many seconds they have been due, $2 who says so. Answers their names.
-- needs: schedule_due; worker has a row for each process
-- locks: rows of schedule in the order of name; skips what others hold
with gone as (
    update :"schema".schedule
    set orphaned_at = clock_timestamp()
    where name in (
        select name
        from :"schema".schedule as old
        where paused_at is null and orphaned_at is null and declared is not null
          and next_at < clock_timestamp() - make_interval(secs => $1::float8)
          and not exists (select from :"schema".worker where old.name = any (worker.schedules))
        order by name
        for update skip locked)
    returning name
),
audited as (
    insert into :"schema".audit (actor, via, action, target, changed)
    select $2::text, 'worker', 'schedule.orphan', jsonb_build_object('schedule', name), 1
    from gone
)
select name from gone order by name
