-- Lets the statements that follow in this transaction read a table as a whole, for a rescue, and take
-- their time over it: with the timeout of those that probe, a large table would never be read.
-- needs: nothing
-- locks: nothing
select set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true),
       set_config('statement_timeout', '60000', true)
