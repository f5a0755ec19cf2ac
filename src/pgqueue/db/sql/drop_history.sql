-- Drops the partitions past retention. $1 seconds of history to keep.
-- needs: nothing
-- locks: history, for a moment, once nobody reads it; see the function
select :"schema".drop_history(make_interval(secs => $1::float8)) as dropped
