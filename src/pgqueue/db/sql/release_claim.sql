-- Gives back what a claim took whose answer was lost.
-- $1 worker id, $2 token of the claim.
-- Answers queue and position of each.
-- needs: nothing: it reads job as a whole, after a connection broke in mid-claim
-- locks: the rows of these jobs, in the order of id
with held as materialized (
    select ctid as row_id
    from :"schema".job
    where worker_id = $1::bigint and claim_token = $2::bigint
    order by id
    for update
)
update :"schema".job
set worker_id = null, claim_token = null, claimed_at = null, attempt = job.attempt - 1
from held
where job.ctid = held.row_id
returning job.queue, job.position
