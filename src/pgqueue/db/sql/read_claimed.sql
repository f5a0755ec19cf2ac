-- A claimed job as a whole: its claim left out arguments that are large.
-- $1 job id, $2 the token of its claim.
-- needs: the primary key of job
-- locks: nothing
select :claimed_columns, null as refused, args, metadata,
       date_part('epoch', enqueued_at) as enqueued_epoch, nullif(run_at, enqueued_at) as due_at
from :"schema".job
where id = $1::bigint and claim_token = $2::bigint
