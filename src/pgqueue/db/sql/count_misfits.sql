-- How many of a job's errors at the end of its list say that its arguments did not fit a worker.
-- $1 job id, $2 the type of such an error.
-- needs: the primary key of job
-- locks: nothing
select (count(*) - coalesce(max(error.number) filter (where error.entry ->> 'type' is distinct from $2::text), 0))::integer
       as misfits
from :"schema".job
     cross join lateral jsonb_array_elements(job.errors) with ordinality as error (entry, number)
where job.id = $1::bigint
