-- Which of these receipts were honoured already: after a completion whose answer was lost.
-- $1 job ids, $2 their claim tokens.
-- needs: history_id, the primary key of dead, probed once a receipt: the limits keep the planner
-- from reading the two as a whole into a hash
-- locks: nothing
select receipt.id
from unnest($1::bigint[], $2::bigint[]) as receipt (id, token)
     cross join lateral (
         (select from :"schema".history
          where history.id = receipt.id and history.claim_token = receipt.token
          limit 1)
         union all
         (select from :"schema".dead
          where dead.id = receipt.id and dead.claim_token = receipt.token
          limit 1)
         limit 1
     ) as honoured
