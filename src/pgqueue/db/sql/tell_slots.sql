-- Notes how many slots an overloaded worker uses. Sent when that changes, and never by others.
-- $1 worker id, $2 slots, or null once it uses all of them.
-- needs: the primary key of worker
-- locks: its row
update :"schema".worker set allowed_slots = $2::integer where id = $1::bigint
