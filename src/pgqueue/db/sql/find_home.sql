-- Which database this schema was made for, and which one this is, if they are not the same.
-- needs: nothing: home has a row, or a few
-- locks: nothing
select home.system_id, home.database_oid, here.system_id as here_system, here.database_oid as here_database
from :"schema".home
     cross join :"schema".here() as here
where home.system_id <> here.system_id or home.database_oid <> here.database_oid
order by home.since
limit 1
