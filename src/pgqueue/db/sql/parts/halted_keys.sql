-- The keys of ordered flows that stand still from now on, since a job of theirs is dead.
insert into :"schema".flow_key as o (flow, key, paused_at, pause_reason)
select gone.flow, gone.flow_key, statement_timestamp(), 'job ' || min(gone.id) || ' is dead'
from gone join :"schema".flow on flow.name = any (array[gone.flow])
where flow.settings @> '{"ordered": true}' and flow.settings ->> 'on_dead' is distinct from 'skip'
group by gone.flow, gone.flow_key
order by gone.flow, gone.flow_key
on conflict (flow, key) do update
    set paused_at = excluded.paused_at, pause_reason = excluded.pause_reason
    where o.paused_at is null
returning o.flow, o.key
