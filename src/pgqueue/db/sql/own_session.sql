-- What identifies this session for as long as it lives.
-- needs: nothing
-- locks: nothing
select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()
