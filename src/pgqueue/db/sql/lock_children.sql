-- Takes for rescue the workers that a supervisor saw end.
-- $1 supervisor, $2 pid of its child.
-- needs: nothing
-- locks: the workers' rows in the order of id; skips one that is taken
select id, host, pid, stopping
from :"schema".worker
where supervisor = $1::bigint and pid = $2::integer
order by id
for update skip locked
