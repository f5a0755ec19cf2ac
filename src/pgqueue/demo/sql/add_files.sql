-- Adds a row for each file of a tenant.
-- $1 paths, $2 the tenant, $3 which of them is poison. Answers their ids, in order.
-- locks: nothing
insert into pgqueue_demo.file (path, tenant, poison)
select path, $2::text, path is not distinct from $3::text
from unnest($1::text[]) with ordinality as given (path, n)
order by n
returning id, path, poison
