-- The transaction that claims from a queue just now, by the lock of claim_jobs. $1 queue.
-- needs: nothing
-- locks: nothing
with place as (
    select hashtextextended(
               $1::text, 7085774586302733312 | ':"schema".job'::regclass::oid::bigint) as key
)
select virtualtransaction as transaction
from place, pg_locks
where locktype = 'advisory'
  and database = (select oid from pg_database where datname = current_database())
  and classid = ((key >> 32) & 4294967295)::oid
  and objid = (key & 4294967295)::oid
  and objsubid = 1
  and granted
