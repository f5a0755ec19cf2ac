-- The names of all flows that have a row or jobs in line, for whoever mistyped one.
-- needs: flow has few rows; job_line (a probe for each flow)
-- locks: nothing
with recursive :named_in_line
select name from :"schema".flow
union
select name from named where name is not null
order by name
limit 1000
