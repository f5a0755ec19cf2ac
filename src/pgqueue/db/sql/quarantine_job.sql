-- Marks a job that crashed workers before as the one to blame if this worker dies now, and the one
-- that was marked before no longer: it has run, though its outcome may not be written yet.
-- $1 job id, $2 its claim token, $3 and $4 those of the one before, or null.
-- Answers the ids it found.
-- needs: the primary key of job
-- locks: the rows, in the order of id
with marked as materialized (
    select id
    from :"schema".job
    where id = any (array[$1::bigint, $3::bigint])
      and claim_token = case id when $1::bigint then $2::bigint else $4::bigint end
    order by id
    for update
)
update :"schema".job
set quarantined = (job.id = $1::bigint)
from marked
where job.id = any (array[marked.id])
returning job.id
