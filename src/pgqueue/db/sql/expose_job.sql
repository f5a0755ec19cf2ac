-- Marks a job that crashed a worker before as the one to blame if this worker dies now.
-- $1 job id, $2 its claim token.
-- needs: the primary key of job
-- locks: the row
update :"schema".job set exposed = true where id = $1::bigint and claim_token = $2::bigint returning id
