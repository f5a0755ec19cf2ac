-- Says how many files are done, with a result or dead, and whether jobs of files are left; and what the newest
-- job of the schedule found, if one has run.
-- needs: nothing: it counts all results
-- locks: nothing
select (select count(*) from pgqueue_demo.result)
       + (select count(*) from pgqueue_demo_queue.dead) as done,
       exists (select from pgqueue_demo_queue.job where queue = 'files') as busy,
       tally.slot, tally.results
from (values (1)) as one (row)
     left join (select slot, results from pgqueue_demo.tally order by slot desc limit 1) as tally on true
