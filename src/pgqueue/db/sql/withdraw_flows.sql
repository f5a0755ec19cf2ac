-- Puts admitted jobs that wait for a worker back in line where their flow, key or queue is paused, and lets all
-- lines that stood still look again.
-- needs: see withdraw; flow has few rows
-- locks: the rows of all flows, by name, and jobs that go back
select :"schema".flow_changed(name, null)
from (select name from :"schema".flow order by name offset 0) as each
