-- Lets the statements that follow in this transaction read a table as a whole, for a rescue.
-- needs: nothing
-- locks: nothing
select set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true)
