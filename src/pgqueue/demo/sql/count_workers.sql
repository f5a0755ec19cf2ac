-- Counts the workers that are there.
-- needs: nothing
-- locks: nothing
select count(*)
from pgqueue_demo_queue.worker
