-- What the jobs of a flow used, by key and day, the newest day first: also what no admission has added up yet.
-- $1 flow, $2 key, null: all, $3 since this day (UTC), $4 how many.
-- needs: the primary key of flow_usage, ticket_flow
-- locks: nothing
select key, day, sum(jobs)::bigint as jobs, sum(used) as used
from (select key, day, jobs, used
      from :"schema".flow_usage
      where flow = $1::text and ($2::text is null or key = $2::text) and day >= $3::date
      union all
      select key, (statement_timestamp() at time zone 'UTC')::date, 1, used
      from :"schema".ticket
      where flow = $1::text and ($2::text is null or key = $2::text) and used is not null) as told
group by key, day
order by day desc, used desc, key
limit $4::integer
