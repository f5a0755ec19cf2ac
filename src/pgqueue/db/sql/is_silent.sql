-- Whether a session of ours has been idle for so long that an answer which is still awaited is lost.
-- $1 its pid, $2 seconds. No row, or not true: nobody can tell, as without track_activities.
-- needs: nothing
-- locks: nothing
select state like 'idle%' and state_change < clock_timestamp() - make_interval(secs => $2) as silent
from pg_stat_activity
where pid = $1::integer
  and datname = current_database()
  and usename = session_user
  and application_name = 'pgqueue client'
