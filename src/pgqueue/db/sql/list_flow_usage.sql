-- What the jobs of a flow used, by key and day, the newest day first. $1 flow, $2 key, null: all, $3 since this day
-- (UTC), $4 how many.
-- needs: the primary key of flow_usage
-- locks: nothing
select key, day, jobs, used
from :"schema".flow_usage
where flow = $1::text and ($2::text is null or key = $2::text) and day >= $3::date
order by day desc, used desc, key
limit $4::integer
