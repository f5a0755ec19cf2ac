-- Takes a duty that is due for the whole fleet, for a while: who dies over it leaves it to the others.
-- $1 name, $2 seconds for which nobody else takes it.
-- needs: the primary key of duty
-- locks: its row; skips one that is taken
update :"schema".duty
set due_at = clock_timestamp() + make_interval(secs => $2::float8)
where name = (select name from :"schema".duty
              where name = $1::text and due_at <= clock_timestamp()
              for update skip locked)
returning name
