-- What a sweep remembers: the newest position handed out, the oldest transaction that still runs,
-- the first that has not begun.
-- needs: nothing
-- locks: nothing
select last_value as position,
       pg_snapshot_xmin(snapshot)::text::bigint as oldest,
       pg_snapshot_xmax(snapshot)::text::bigint as next
from :"schema".position_seq, pg_current_snapshot() as snapshot
