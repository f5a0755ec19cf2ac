-- Fires schedules: whoever is first moves next_at on and inserts the jobs, all at once or not at all.
-- $1 names, in their order, $2 the slots that are due, $3 revisions, $4 the slots that follow, $5 for each schedule an array
-- of what is noted, as JSON text, the oldest slot first: the slot, and the document of its job if it gets one.
-- Answers the schedules that it fired, and what was noted of them: name, slot, the job's id or null, whether
-- that is one that was there already.
-- needs: the primary key of schedule
-- locks: rows of schedule in the order of name, and skips those that others hold; then the unique keys of
-- the new jobs, in their order
with asked as (
    select *
    from unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::timestamptz[], $5::text[])
         as asked (name, due_at, revision, following_at, notes)
),
taken as materialized (
    select free.name, asked.following_at, asked.notes::jsonb as notes
    from asked
         cross join lateral (  -- one probe for each, whatever the planner believes of the table
             select schedule.name
             from :"schema".schedule
             where schedule.name = asked.name and schedule.next_at = asked.due_at
               and schedule.revision = asked.revision
               -- Not as the partial index has it, which would be read as a whole where the planner
               -- believes that it is empty.
               and coalesce(schedule.paused_at, schedule.orphaned_at) is null
               and schedule.next_at <= clock_timestamp()
             for update skip locked
         ) as free
),
noted as materialized (
    select taken.name, note.n, note.body,
           count(note.body -> 'job') over (order by taken.name, note.n) as place
    from taken cross join lateral jsonb_array_elements(taken.notes) with ordinality as note (body, n)
),
made as materialized (
    select array_agg(made.id order by made.place) as ids,
           array_agg(made.duplicate order by made.place) as duplicates
    from :"schema".enqueue_checked(
             (select coalesce(jsonb_agg(body -> 'job' || '{"bounded": false}' order by place), '[]')
              from noted where body ? 'job')
         ) with ordinality as made (id, duplicate, state, place)
),
done as materialized (
    select noted.name, noted.n, noted.body,
           case when noted.body ? 'job' then made.ids[noted.place] end as id,
           case when noted.body ? 'job' then made.duplicates[noted.place] end as duplicate
    from noted cross join made
),
moved as (
    update :"schema".schedule
    set next_at = taken.following_at,
        fired_at = clock_timestamp(),
        fires = jsonb_path_query_array(
            (select coalesce(
                        jsonb_agg(
                            done.body - 'job' || jsonb_build_object(
                                'at', clock_timestamp(), 'job', done.id, 'duplicate', done.duplicate)
                            order by done.n desc),
                        '[]')
             from done where done.name = taken.name) || schedule.fires,
            '$[0 to 19]')
    from taken
    where schedule.name = any (array[taken.name])
)
select taken.name, done.body ->> 'slot' as slot, done.id, done.duplicate
from taken left join done on done.name = taken.name
order by taken.name, done.n
