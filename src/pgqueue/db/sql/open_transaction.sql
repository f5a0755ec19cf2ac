-- The first statement of a transaction that psycopg is to begin with it.
-- needs: nothing
-- locks: nothing
select 1
