-- Writes how many results there are, for a slot of the schedule.
-- $1 the slot, as text.
-- needs: nothing: it counts all results
-- locks: nothing
insert into pgqueue_demo.tally (slot, results)
select $1::text::timestamptz, count(*) from pgqueue_demo.result
