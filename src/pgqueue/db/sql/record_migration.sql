-- Records again a migration whose row is lost. $1 version, $2 name, $3 breaking.
-- needs: the primary key of migration
-- locks: nothing but the new row
insert into :"schema".migration (version, name, breaking)
values ($1, $2, $3)
on conflict do nothing
