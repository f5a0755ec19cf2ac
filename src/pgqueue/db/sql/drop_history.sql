-- Drops the partitions past retention. $1 seconds of history to keep, $2 how many to drop at most.
-- needs: nothing
-- locks: history, for a moment, once nobody reads it; see the function
select :"schema".drop_history(make_interval(secs => $1::float8), $2::integer) as dropped
