-- Admits jobs of a flow: see the function admit, whose answer this is, and since when the server runs.
-- $1 the flow, $2 how many admitted jobs may wait for a worker at once; $3 positions, $4 tickets and $5 turns:
-- below these nothing is to be found on the server that began at $6. On another one all is looked at.
-- needs: the primary keys of flow, flow_key and queue, job_admitted, job_line, ticket_flow, line_turn, line_key
-- locks: the row of the flow, and those of the jobs that it admits, none of which is waited for
select admission.*, pg_postmaster_start_time() as server
from (select pg_postmaster_start_time() = $6::timestamptz is true as same) as known
     cross join lateral :"schema".admit(
         $1::text, $2::integer,
         case when known.same then $3::bigint else 0 end,
         case when known.same then $4::bigint else 0 end,
         case when known.same then $5::timestamptz else '-infinity' end) as admission
