-- Says how many results are written, and whether jobs are left to do.
-- needs: nothing: it counts all results
-- locks: nothing
select (select count(*) from pgqueue_demo.result) as written,
       exists (select from pgqueue_demo_queue.job) as busy
