-- Cancels what a session of ours runs, if that waits for a lock: then nothing of it has been done, and
-- its own session is told so. A commit waits for other things.
-- $1 its pid. No row, or not true: it does not wait, or nobody can tell.
-- needs: nothing
-- locks: nothing
select wait_event_type = 'Lock' and pg_catalog.pg_cancel_backend(pid) as cancelled
from pg_stat_activity
where pid = $1::integer
  and datname = current_database()
  and usename = session_user
  and application_name = 'pgqueue client'
