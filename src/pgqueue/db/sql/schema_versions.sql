-- Migrations that were applied, oldest first.
-- needs: the primary key of migration
-- locks: nothing
select version, name, breaking from :"schema".migration order by version
