-- The last job that list_jobs looks at, if there are so many: it says nothing of those below.
-- $1 state, as there, $2 below this id, $3 among how many.
-- needs: the primary keys of job and dead, history_id (merged from their ends)
-- locks: nothing
select id
from :"schema".jobs
where id < $2::bigint
  and ($1::text is distinct from 'dead' or state = 'dead')
order by id desc
offset $3::bigint - 1
limit 1
