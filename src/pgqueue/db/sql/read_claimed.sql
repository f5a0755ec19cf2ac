-- A claimed job as a whole: its claim left out arguments that are large.
-- $1 job id, $2 the token of its claim.
-- needs: the primary key of job
-- locks: nothing
select :claimed_columns, null as refused, args, metadata,
       case when isfinite(run_at) then date_part('epoch', claimed_at - run_at)::real end as waited
from :"schema".job
where id = $1::bigint and claim_token = $2::bigint
