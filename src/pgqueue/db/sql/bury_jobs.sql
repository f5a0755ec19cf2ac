-- Moves jobs to the dead letters, each with the receipt of its claim.
-- $1 job ids in ascending order, $2 their claim tokens, $3 reasons, $4 error entry or null, $5 how
-- many error entries a job keeps. A claimed job whose token somebody deleted has the token 0. Jobs with a cancel request are left for finish_jobs.
-- Answers the ids buried.
-- needs: the primary key of job, probed once a receipt (see finish_jobs)
-- locks: the rows of these jobs, in the order of id
with gone as (
    delete from :"schema".job
    using unnest($1::bigint[], $2::bigint[], $3::text[], $4::jsonb[])
          as receipt (id, token, reason, error)
    where job.id = any (array[receipt.id])
      and coalesce(job.claim_token, 0) = receipt.token
      and job.worker_id is not null
      and not job.cancel_requested
    returning job.*, receipt.reason, receipt.error
)
insert into :"schema".dead (:carried_columns, crash_count, finished_at, reason, errors)
select :carried_columns, crash_count, statement_timestamp(), reason,
       case when error is null then errors
            else case when jsonb_array_length(errors) >= $5::integer then errors - 0
                      else coalesce(errors, '[]') end
                 || (error || jsonb_build_object('at', statement_timestamp(),
                                             'claimed_at', claimed_at)) end
from gone
returning id
