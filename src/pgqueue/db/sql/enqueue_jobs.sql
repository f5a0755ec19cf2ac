-- Enqueues jobs that were checked already. $1 an array of job documents as JSON text: typed as text
-- first, so that no codec of the caller's connection encodes it again. The types are named in full:
-- this runs on other people's connections, with whatever search_path they have.
-- needs: nothing
-- locks: the unique keys of the new jobs, in their order
select id, duplicate, state from :"schema".enqueue_checked(cast(cast($1 as pg_catalog.text) as pg_catalog.jsonb))
