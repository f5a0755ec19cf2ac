-- Writes what is said of a schedule, and who said it, unless somebody else was first.
-- $1 name, $2 the revision that this was decided by, 0 for a new one, $3 what code declares or null, $4 what
-- an operator changed or null, $5 the next slot, $6 whether it is paused, $7 whether code says it: then it is
-- no orphan any more, and no operator's change, $8 actor, $9 via, $10 action, $11 target, $12 reason, $13 the
-- slot that it waited for when this was decided, null for a new one: who fires meanwhile was first.
-- Answers the name; nothing where somebody else was first. Workers hear of a slot that comes within the hour.
-- needs: the primary key of schedule
-- locks: its row
with made as (
    insert into :"schema".schedule
        (name, declared, changed, next_at, paused_at, changed_at, changed_by)
    select $1::text, $3::text::jsonb, $4::text::jsonb, $5::timestamptz,
           case when $6::boolean then clock_timestamp() end,
           case when not $7::boolean then clock_timestamp() end,
           case when not $7::boolean then $8::text end
    where $2::bigint = 0
    on conflict (name) do nothing
    returning name
),
altered as (
    update :"schema".schedule
    set revision = revision + 1,
        declared = $3::text::jsonb,
        changed = $4::text::jsonb,
        next_at = $5::timestamptz,
        paused_at = case when $6::boolean then coalesce(paused_at, clock_timestamp()) end,
        orphaned_at = case when not $7::boolean then orphaned_at end,
        changed_at = case when $7::boolean then changed_at else clock_timestamp() end,
        changed_by = case when $7::boolean then changed_by else $8::text end
    where name = $1::text and revision = $2::bigint and next_at = $13::timestamptz
    returning name
),
written as (
    select name from made union all select name from altered
),
audited as (
    insert into :"schema".audit (actor, via, action, target, reason, changed)
    select $8::text, $9::text, $10::text, $11::text::jsonb, $12::text, 1
    from written
)
select name,
       case when not $6::boolean and $5::timestamptz < clock_timestamp() + interval '1 hour'
            then :"schema".notify(
                     't:' || greatest(extract(epoch from $5::timestamptz - clock_timestamp()), 0))
       end as told
from written
