-- Whether this role may read the errors of jobs: a viewer may not, since users' data is in them.
-- needs: nothing
-- locks: nothing
select has_column_privilege(':"schema".job'::regclass, 'errors', 'select')
