-- The names of all flows that have a row, for whoever mistyped one.
-- needs: flow has few rows
-- locks: nothing
select name from :"schema".flow order by name limit 1000
