-- Says that a duty is done. $1 name, $2 seconds until it is due again.
-- needs: the primary key of duty
-- locks: its row
update :"schema".duty
set due_at = clock_timestamp() + make_interval(secs => $2::float8)
where name = $1::text
