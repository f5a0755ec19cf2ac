-- Writes what an operator says of a flow, and that he did. The caller has locked its row.
-- $1 flow, $2 what an operator changed or null, $3 whether it is paused, $4 whether a break of it is over, $5 actor,
-- $6 via, $7 action, $8 target, $9 reason.
-- needs: the primary key of flow
-- locks: its row
with altered as (
    update :"schema".flow
    set changed = $2::text::jsonb,
        paused_at = case when $3::boolean then coalesce(paused_at, clock_timestamp()) end,
        held_until = case when not $4::boolean then held_until end,
        changed_at = clock_timestamp(),
        changed_by = $5::text
    where name = $1::text
)
insert into :"schema".audit (actor, via, action, target, reason, changed)
values ($5::text, $6::text, $7::text, $8::text::jsonb, $9::text, 1)
