-- Vacuums the job table, unless somebody else does. Not in a transaction. Nothing is cut off its end, which
-- would lock out the claims. Each index is cleaned, however few of its entries are dead: the claim
-- walks over them.
-- needs: nothing
-- locks: job, against other vacuums and changes of the table; not against jobs
vacuum (index_cleanup on, truncate off, skip_locked, parallel 0) :"schema".job
