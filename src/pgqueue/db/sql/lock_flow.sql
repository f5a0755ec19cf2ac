-- What is said of a flow, for whoever is to change it. $1 flow.
-- needs: the primary key of flow
-- locks: its row, so that no admission of it begins until the transaction ends
select declared::text, changed::text, settings::text, paused_at is not null as paused,
       coalesce(held_until > clock_timestamp(), false) as held
from :"schema".flow
where name = $1::text
for no key update
