-- Enqueues jobs that were checked already. $1 an array of job documents as JSON text: typed as text
-- first, so that no codec of the caller's connection encodes it again.
-- needs: nothing
-- locks: the unique keys of the new jobs, in their order
select id, duplicate, state from :"schema".enqueue_checked(cast(cast($1 as text) as jsonb))
