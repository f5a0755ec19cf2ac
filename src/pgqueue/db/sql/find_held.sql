-- What a worker holds, as far as the server knows. $1 worker id.
-- needs: nothing: it reads job as a whole, after the server became another one
-- locks: nothing
select id, claim_token from :"schema".job where worker_id = $1::bigint
