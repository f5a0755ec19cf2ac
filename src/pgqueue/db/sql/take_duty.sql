-- Takes a duty that is due for the whole fleet, and says when it is due next.
-- $1 name, $2 seconds until it is due again.
-- needs: the primary key of duty
-- locks: its row; skips one that is taken
update :"schema".duty
set due_at = clock_timestamp() + make_interval(secs => $2::float8)
where name = (select name from :"schema".duty
              where name = $1::text and due_at <= clock_timestamp()
              for update skip locked)
returning name
