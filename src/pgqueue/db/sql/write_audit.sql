-- Notes what somebody did, in the transaction that does it.
-- $1 actor, $2 via, $3 action, $4 target, $5 reason, $6 how much changed.
-- needs: nothing
-- locks: nothing
insert into :"schema".audit (actor, via, action, target, reason, changed)
values ($1::text, $2::text, $3::text, $4::text::jsonb, $5::text, $6::integer)
