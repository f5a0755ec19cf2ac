-- Deletes what jobs of flows used long ago, the oldest first. $1 how many rows at most.
-- Answers how many it deleted; fewer than $1 if no more are that old, or others delete them.
-- needs: flow_usage_day, the primary key of flow_usage
-- locks: those rows, and skips those that others hold
select :"schema".drop_usage($1::integer) as dropped
