-- Whether this session would hear of jobs in these queues.
-- $1 queue names, $2 whether to send all workers, and so this one, a word that means nothing.
-- Enters queues whose rows were deleted.
-- Answers whether it listens to the channel that this schema has now, whether the word was sent, and
-- which queues have no flag up.
-- needs: the primary keys of queue and turn
-- locks: rows of queue and turn in the order of name, only those it enters
with missing as materialized (
    select want.name
    from unnest($1::text[]) as want (name)
    where not exists (select from :"schema".queue where queue.name = want.name)
       or not exists (select from :"schema".turn where turn.queue = want.name)
),
queues as (
    insert into :"schema".queue (name)
    select name from missing order by name
    on conflict (name) do nothing
),
turns as (
    insert into :"schema".turn (queue)
    select name from missing order by name
    on conflict (queue) do nothing
),
word as materialized (
    -- Where none would be sent, none is to be missed: see notify.
    select :"schema".notify('h')
    where $2::boolean
      and pg_notification_queue_usage() < 0.9
      and current_setting('pgqueue.notify', true) is distinct from 'off'
)
select exists (select from pg_listening_channels() as heard (channel)
               where heard.channel = :"schema".channel()) as listens,
       exists (select from word) as spoken,
       array(select want.name
             from unnest($1::text[]) as want (name)
             where not exists (select from :"schema".queue
                               where queue.name = want.name and queue.waiting)) as down
