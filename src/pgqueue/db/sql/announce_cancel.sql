-- Tells all workers to look for jobs that they are asked to cancel.
-- needs: nothing
-- locks: nothing
select :"schema".call('c')
