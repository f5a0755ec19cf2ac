-- The next statement by which a partition of history past retention is detached: it is marked, and detached
-- concurrently, which a reader may interrupt; that is finalized first, for there is one at a time. Each is to
-- run alone, outside of transactions. No row if none is left, or this role does not own them.
-- $1 seconds of history to keep.
-- needs: the indexes of the catalogue
-- locks: nothing
select case
           when inhdetachpending then format(
               'alter table %s detach partition %s finalize', inhparent::regclass, inhrelid::regclass)
           when obj_description(inhrelid, 'pg_class') is distinct from 'pgqueue: past retention' then format(
               'comment on table %s is %L', inhrelid::regclass, 'pgqueue: past retention')
           else format('alter table %s detach partition %s concurrently',
                       inhparent::regclass, inhrelid::regclass)
       end as change
from pg_inherits
     join pg_class as history on history.oid = inhparent
     join pg_class as part on part.oid = inhrelid
where inhparent = ':"schema".history'::regclass
  and part.relkind = 'r'
  and part.relname ~ '^history_[0-9]{8}$'
  and (to_date(right(part.relname, 8), 'YYYYMMDD') + 1)::timestamp
      <= (statement_timestamp() - make_interval(secs => $1::float8)) at time zone 'UTC'
  and pg_has_role(history.relowner, 'usage')
  and pg_has_role(part.relowner, 'usage')
order by not inhdetachpending, part.relname
limit 1
