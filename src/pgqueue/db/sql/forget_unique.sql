-- Forgets unique keys that are free again. $1 how many at most. Answers how many it was.
-- needs: unique_past_until, history_id, the primary keys of unique_past, job and dead
-- locks: the rows it deletes, which are looked for in the order of until; skips what others hold
select :"schema".forget_unique($1::integer) as forgotten
