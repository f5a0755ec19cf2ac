-- Says how many files of each tenant are done, with a result or dead; how many jobs of the large one are in line;
-- how long those of the small one waited, in seconds (median); whether jobs of files are left; and what the
-- newest job of the schedule found, if one has run.
-- needs: nothing: it counts all results
-- locks: nothing
select done.large, done.small, job.in_line, job.busy, wait.seconds as wait, tally.slot, tally.results
from (select count(*) filter (where tenant = 'large') as large,
             count(*) filter (where tenant = 'small') as small
      from pgqueue_demo.file
      where exists (select from pgqueue_demo.result where file_id = file.id)
         or poison and exists (select from pgqueue_demo_queue.dead)) as done
     cross join (select count(*) filter (where flow_key = 'large' and position is null) as in_line,
                        count(*) > 0 as busy
                 from pgqueue_demo_queue.job
                 where queue = 'files') as job
     cross join (select percentile_cont(0.5) within group (
                            order by extract(epoch from started_at - added_at)) as seconds
                 from pgqueue_demo.file
                      join pgqueue_demo.attempt on attempt.file_id = file.id and attempt.attempt = 1
                 where tenant = 'small') as wait
     left join (select slot, results from pgqueue_demo.tally order by slot desc limit 1) as tally on true
