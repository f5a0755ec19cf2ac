-- What goes with a job into history or dead as it is.
:job_columns, expires_at, run_at, claimed_at, worker_id, claim_token, attempt
