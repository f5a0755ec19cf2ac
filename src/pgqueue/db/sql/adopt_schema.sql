-- Makes this database the one that the schema was made for.
-- Answers whether it can be told which one this is, and how many others it was made for.
-- needs: nothing: home has a row, or a few
-- locks: the rows of home
with here as materialized (
    select system_id, database_oid from :"schema".here()
),
gone as (
    delete from :"schema".home
    using here
    where home.system_id <> here.system_id or home.database_oid <> here.database_oid
    returning home.system_id
),
kept as (
    insert into :"schema".home (system_id, database_oid)
    select system_id, database_oid from here
    on conflict do nothing
)
select exists (select from here) as known, (select count(*) from gone) as others
