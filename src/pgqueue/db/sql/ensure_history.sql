-- Makes the partitions of today and the days to come, when a completion found none.
-- needs: nothing
-- locks: see the function
select :"schema".ensure_history() as made
