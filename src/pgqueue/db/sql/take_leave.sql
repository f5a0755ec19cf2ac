-- Asks whether a worker may begin jobs of a queue with limits: permits, and tokens of its rate.
-- $1 queue, $2 worker, $3 how many it would run at once, $4 how many of its permits it keeps busy, $5 how many
-- tokens it can use, $6 how many tokens it took before and did not use.
-- Answers may and held: how many it may run at once, and how many permits it has; tokens, first, each, wait: how
-- many it may begin, and when, in seconds.
-- needs: the primary keys of limiter, queue and worker; permit has few rows of a queue; queue_tokens_tat
-- locks: the queue's row of limiter; then rows of permit and queue_tokens of this queue
select may, held, tokens, first, each, wait
from :"schema".take_permits($1::text, $2::bigint, $3::integer, $4::integer)
     cross join lateral :"schema".take_tokens(
         $1::text, case when may > 0 or $3::integer = 0 then $5::integer else 0 end, $6::integer)
