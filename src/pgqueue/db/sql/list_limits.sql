-- The queues of which code or an operator says anything, by name.
-- needs: queue has few rows
-- locks: nothing
select name, settings::text, declared::text, changed::text, changed_at, changed_by, full_at
from :"schema".queue
where declared is not null or changed is not null
order by name
