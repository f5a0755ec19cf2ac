-- The state of a job that is completed; fails where no row is gone. It reads a column, so that no planner
-- works it out before.
case when gone.id is not null then 'completed'
     else (pg_catalog.concat('pgqueue: the receipt is not good any more', gone.id)::bigint)::text end
