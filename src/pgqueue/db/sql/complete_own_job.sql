-- Moves the job of a job.transaction() to history, with the receipt of its claim; its commit is sent with it.
-- $1 job id, $2 its claim token.
-- Answers nothing; fails where the receipt is not good any more, so that nothing behind it is carried out.
-- needs: the primary key of job (see finish_jobs); a partition of history for today
-- locks: the row of this job
with gone as (
    delete from :"schema".job
    where id = $1::bigint and coalesce(claim_token, 0) = $2::bigint and worker_id is not null
    returning job.*
)
insert into :"schema".history (:carried_columns, crash_count, finished_at, state, errors)
select :carried_columns, crash_count, pg_catalog.statement_timestamp(), :fenced_state, errors
from (values (1)) as one left join gone on true
