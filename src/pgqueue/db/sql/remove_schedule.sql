-- Deletes a schedule, unless a worker's code declares it, and notes who did.
-- $1 name, $2 actor, $3 via, $4 reason. Answers the name.
-- needs: the primary key of schedule
-- locks: its row
with gone as (
    delete from :"schema".schedule
    where name = $1::text
      and (declared is null
           or not exists (select from :"schema".worker
                          where schedule.name = any (worker.schedules)))
    returning name, settings - '{args,metadata,unique_key}'::text[] as settings
),
audited as (
    insert into :"schema".audit (actor, via, action, target, reason, changed)
    select $2::text, $3::text, 'schedule.remove',
           jsonb_build_object('schedule', name, 'before', settings), $4::text, 1
    from gone
)
select name from gone
