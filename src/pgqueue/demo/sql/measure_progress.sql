-- Says how many files are done, with a result or dead, and whether jobs are left.
-- needs: nothing: it counts all results
-- locks: nothing
select (select count(*) from pgqueue_demo.result)
       + (select count(*) from pgqueue_demo_queue.dead) as done,
       exists (select from pgqueue_demo_queue.job) as busy
