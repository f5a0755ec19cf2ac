-- The job, if this receipt is still good; waits for whoever is changing it.
-- $1 job id, $2 its claim token.
-- needs: the primary key of job
-- locks: its row
select id from :"schema".job where id = $1::bigint and claim_token = $2::bigint for update
