-- Writes what code says of queues, where it says anything new.
-- $1 queues, $2 their settings, $3 actor, $4 via.
-- Answers the queues that changed. All workers hear of it.
-- needs: the primary key of queue
-- locks: the rows that it changes, in the order of name
with before as (
    select name, declared from :"schema".queue where name = any ($1::text[])
),
written as (
    insert into :"schema".queue (name, declared)
    select given.name, given.declared::jsonb
    from unnest($1::text[], $2::text[]) as given (name, declared)
         left join before on before.name = given.name
    where before.declared is distinct from given.declared::jsonb
    order by given.name
    on conflict (name) do update
        set declared = excluded.declared
        where queue.declared is distinct from excluded.declared
    returning name, declared
),
audited as (
    insert into :"schema".audit (actor, via, action, target, changed)
    select $3::text, $4::text, 'queue.declare',
           jsonb_build_object('queue', written.name, 'before', before.declared,
                              'after', written.declared), 1
    from written
         left join before on before.name = written.name
)
select name, :"schema".call('l') as told from written
