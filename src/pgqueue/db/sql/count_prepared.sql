-- How many statements others than ourselves have prepared in this session.
-- Answers one number.
-- needs: nothing
-- locks: nothing
select pg_catalog.count(*) from pg_catalog.pg_prepared_statement() where pg_catalog.left(name, 8) <> 'pgqueue_'
