-- Keeps other demos out of this database for as long as this session lasts; false: one is running.
-- needs: nothing
-- locks: an advisory lock
select pg_try_advisory_lock(hashtextextended('pgqueue demo', 7585774586302733))
