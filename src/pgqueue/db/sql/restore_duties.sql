-- Enters the duties of the fleet that are missing, due now.
-- needs: the primary key of duty
-- locks: nothing but the new rows
insert into :"schema".duty (name, due_at)
select name, statement_timestamp()
from unnest(array['depth', 'history', 'lines', 'orphans', 'retention', 'vacuum']) as needed (name)
on conflict do nothing
