-- Deletes what is noted of changes long ago, the oldest first. $1 how many rows at most.
-- Answers how many it deleted; fewer than $1 if no more are that old, or others delete them.
-- needs: the primary key of audit
-- locks: those rows, in the order of time, and skips those that others hold
select :"schema".drop_audit($1::integer) as dropped
