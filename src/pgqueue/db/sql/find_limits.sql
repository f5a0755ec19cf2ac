-- The limits of these queues, an object of settings by queue; null if none has any. $1 queues.
-- needs: the primary key of queue
-- locks: nothing
select jsonb_object_agg(name, settings)::text as limits
from :"schema".queue
where name = any ($1::text[]) and coalesce(settings ->> 'concurrency', settings ->> 'rate') is not null
