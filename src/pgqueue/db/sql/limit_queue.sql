-- Writes what an operator says of a queue, over what code says; all workers hear of it.
-- $1 queue, $2 the settings that change, or null: what code says counts again, $3 actor, $4 via, $5 action,
-- $6 reason.
-- Answers the settings that count from now on; nothing if there was nothing to undo.
-- needs: the primary key of queue
-- locks: its row
with before as (
    select changed from :"schema".queue where name = $1::text
),
made as (
    insert into :"schema".queue as q (name, changed, changed_at, changed_by)
    select $1::text, $2::text::jsonb, clock_timestamp(), $3::text
    where $2::text is not null
    on conflict (name) do update
        set changed = coalesce(q.changed, '{}') || excluded.changed,
            changed_at = excluded.changed_at,
            full_at = null,  -- until it is counted again
            changed_by = excluded.changed_by
    returning changed, settings
),
undone as (
    update :"schema".queue
    set changed = null, full_at = null, changed_at = clock_timestamp(), changed_by = $3::text
    where $2::text is null and name = $1::text and changed is not null
    returning changed, settings
),
written as (
    select changed, settings from made union all select changed, settings from undone
),
audited as (
    insert into :"schema".audit (actor, via, action, target, reason, changed)
    select $3::text, $4::text, $5::text,
           jsonb_build_object('queue', $1::text, 'before', (select changed from before),
                              'after', written.changed), $6::text, 1
    from written
)
select settings::text, :"schema".call('l') as told from written
