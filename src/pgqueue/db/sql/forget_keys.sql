-- Deletes what is said of keys of flows that are treated as all others again. $1 how many rows at most.
-- Answers how many it deleted; fewer than $1 if there are no more, or others hold them.
-- needs: the primary key of flow_key, which has few rows beside these
-- locks: those rows, by flow and key, and skips those that others hold
select :"schema".forget_keys($1::integer) as forgotten
