-- Enqueues jobs that were checked already, of which some have unique. $1 as in enqueue_jobs.
-- needs: nothing
-- locks: the waiting jobs of these keys that may be replaced, in the order of id; then the memory of a key and
-- the key itself, in the order of the keys
select id, duplicate, state, replaced
from :"schema".enqueue_unique(cast(cast($1 as pg_catalog.text) as pg_catalog.jsonb))
