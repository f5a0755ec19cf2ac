-- Adds a row for each file.
-- $1 paths, $2 which of them is poison. Answers their ids, in order.
-- locks: nothing
insert into pgqueue_demo.file (path, poison)
select path, path = $2::text
from unnest($1::text[]) with ordinality as given (path, n)
order by n
returning id, path, poison
