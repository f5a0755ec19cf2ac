-- Keeps the job table small: a duty that vacuums it, and an autovacuum that is not slowed down.
-- breaking: no
--
-- Runs inside one transaction; see 0001_first.sql.

-- The duty is done where a worker's role may vacuum. Elsewhere only autovacuum does it. At its usual
-- pace it takes longer to vacuum a minute's work at full speed than that work lasts.
alter table :"schema".job set (autovacuum_vacuum_cost_limit = 2000, autovacuum_vacuum_cost_delay = 2);

insert into :"schema".duty (name, due_at)
values ('vacuum', now()) on conflict do nothing;
