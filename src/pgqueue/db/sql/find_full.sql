-- What jobs would find full: a queue, or a line of a flow and its key. $1 an array of documents as JSON text, of which
-- queue, flow, flow_key, delay and run_at are read: typed as text first, as in enqueue_jobs.
-- Answers queue, flow, flow_key, how many were counted there, and how many may be.
-- needs: the primary keys of queue and flow, job_line
-- locks: nothing
select queue, flow, flow_key, depth, most from :"schema".find_full(cast(cast($1 as pg_catalog.text) as pg_catalog.jsonb))
