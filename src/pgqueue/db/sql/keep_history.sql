-- Makes the partitions of the days to come and drops those past retention.
-- $1 seconds of history to keep.
-- needs: nothing
-- locks: see the two functions
select :"schema".ensure_history() as made,
       :"schema".drop_history(make_interval(secs => $1::float8)) as dropped
