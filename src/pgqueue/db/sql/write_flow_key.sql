-- Writes what an operator says of a key of a flow, and that he did. The caller has locked the row of the flow.
-- $1 flow, $2 key, $3 concurrency and $4 weight, null: as the others', $5 'pause', 'resume', or null: as it was,
-- $6 actor, $7 via, $8 action, $9 target, $10 reason.
-- A halt may be written at the same time by whoever buries a job: what $5 leaves is left.
-- needs: the primary key of flow_key, line_key
-- locks: its row, and its line
with altered as (
    insert into :"schema".flow_key as o
        (flow, key, concurrency, weight, paused_at, pause_reason, changed_at, changed_by)
    values ($1::text, $2::text, $3::integer, $4::float8::real,
            case when $5::text = 'pause' then clock_timestamp() end,
            case when $5::text = 'pause' then $10::text end, clock_timestamp(), $6::text)
    on conflict (flow, key) do update
    set concurrency = excluded.concurrency,
        weight = excluded.weight,
        paused_at = case when $5::text = 'pause' then coalesce(o.paused_at, excluded.paused_at)
                         when $5::text is null then o.paused_at end,
        pause_reason = case when $5::text = 'pause' then coalesce(o.pause_reason, excluded.pause_reason)
                            when $5::text is null then o.pause_reason end,
        held_until = case when $5::text is distinct from 'resume' then o.held_until end,
        changed_at = excluded.changed_at,
        changed_by = excluded.changed_by
),
-- It may wait for the end of a break.
hastened as (
    update :"schema".line
    set turn = clock_timestamp()
    where flow = $1::text and key = $2::text and $5::text = 'resume'
      and turn > clock_timestamp() and turn < 'infinity'
)
insert into :"schema".audit (actor, via, action, target, reason, changed)
values ($6::text, $7::text, $8::text, $9::text::jsonb, $10::text, 1)
