-- Gives back what a worker holds and does not know of: the server had forgotten how it ended.
-- $1 worker id, $2 job ids in ascending order, $3 their claim tokens.
-- Answers queue and position of each.
-- needs: the primary key of job, probed once a receipt (see finish_jobs)
-- locks: the rows of these jobs, in the order of id
update :"schema".job
set worker_id = null, claim_token = null, claimed_at = null, exposed = false,
    attempt = job.attempt - 1
from unnest($2::bigint[], $3::bigint[]) as receipt (id, token)
where job.id = any (array[receipt.id])
  and job.claim_token = receipt.token
  and job.worker_id = $1::bigint
returning job.queue, job.position
