-- The names of all schedules, for whoever mistyped one.
-- needs: schedule has few rows
-- locks: nothing
select name from :"schema".schedules order by name limit 1000
