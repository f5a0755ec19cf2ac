-- Takes back what a job's own statements set for the session: the next job must not see it.
-- needs: nothing
-- locks: nothing
close all;
set session authorization default;
reset all;
unlisten *;
select pg_catalog.pg_advisory_unlock_all();
discard sequences;
discard temp
