-- Notes that a job is about to run which may not run again unless its end is known. The note stays when
-- nobody knows that: the next claim says that it was interrupted.
-- $1 job id, $2 its claim token.
-- Answers its id, if it is still this worker's.
-- needs: the primary key of job
-- locks: the row of this job
update :"schema".job
set began_at = clock_timestamp()
where id = $1::bigint and claim_token = $2::bigint
returning id
