-- Writes the flows that the code of a worker declares, where it says anything new: unless a worker is registered
-- that does not know flows, since it would give a position to a job of a flow that is due.
-- $1 names, $2 their settings as JSON text, $3 actor.
-- Answers how many such workers there are, and the names of what was written. Admissions act by it at once; the
-- settings as they were are those that this statement saw.
-- needs: the primary key of flow; worker has a row for each process
-- locks: rows of flow in the order of name; then what flow_changed() locks
with older as materialized (
    select count(*)::integer as workers from :"schema".worker where not knows_flows
),
anew as materialized (
    select wanted.name, wanted.settings::jsonb as declared
    from older, unnest($1::text[], $2::text[]) as wanted (name, settings)
    where older.workers = 0
      and not exists (select from :"schema".flow
                      where flow.name = wanted.name and flow.declared = wanted.settings::jsonb)
),
written as (
    insert into :"schema".flow (name, declared)
    select name, declared from anew order by name
    on conflict (name) do update
        set declared = excluded.declared
        where flow.declared is distinct from excluded.declared  -- another worker may have been first
    returning name, declared
),
audited as (
    insert into :"schema".audit (actor, via, action, target, changed)
    select $3::text, 'code', 'flow.declare',
           jsonb_build_object('flow', name, 'before', flow.declared, 'after', written.declared), 1
    from written left join :"schema".flow using (name)
),
told as materialized (
    select written.name, :"schema".flow_changed(written.name, flow.settings)
    from written left join :"schema".flow on flow.name = any (array[written.name])
)
select (select workers from older) as older, array(select name from told order by name) as names
