-- In how many seconds each duty of the fleet is due.
-- needs: nothing: duty has a row for each of a handful of duties
-- locks: nothing
select name, extract(epoch from due_at - clock_timestamp())::float8 as due_in
from :"schema".duty
