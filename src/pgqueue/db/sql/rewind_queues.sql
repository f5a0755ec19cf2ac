-- Tells all workers that jobs are ready again at old positions. $1 queue names, $2 lowest positions.
-- needs: nothing
-- locks: nothing
select :"schema".call('r:' || place.position || ':' || place.queue)
from unnest($1::text[], $2::bigint[]) as place (queue, position)
