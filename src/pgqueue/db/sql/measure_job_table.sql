-- Whether the job table is to be vacuumed: how many of its rows are dead, and how many are not, as the
-- statistics of the server say; whether this role may vacuum it; in how many seconds the duty is due,
-- null for never.
-- needs: the primary key of duty
-- locks: nothing
select pg_stat_get_dead_tuples(job.oid) as dead,
       pg_stat_get_live_tuples(job.oid) as live,
       case when current_setting('server_version_num')::integer >= 170000
                 and has_table_privilege(job.oid, 'maintain') then true
            else pg_has_role(job.relowner, 'usage')
                 or exists (select from pg_database
                            where datname = current_database() and pg_has_role(datdba, 'usage'))
       end as may,
       (select extract(epoch from due_at - clock_timestamp())::float8
        from :"schema".duty
        where name = 'vacuum') as due_in
from pg_class as job
where job.oid = ':"schema".job'::regclass
