-- No notification in a transaction that Citus may commit in two phases.
-- breaking: no

-- As in the first migration. PostgreSQL refuses to prepare a transaction that has notified. Sessions that Citus
-- opened may have to, and know it only at their end. So none is sent there, unless the setting says
-- `set pgqueue.notify = on`: where each transaction is of one node.
create or replace function :"schema".notify(payload text) returns void
language sql volatile set search_path = ''
begin atomic
    select pg_catalog.pg_notify(:"schema".channel(), payload)
    where pg_catalog.pg_notification_queue_usage() < 0.9
      and case pg_catalog.current_setting('pgqueue.notify', true)
              when 'off' then false
              when 'on' then true
              else not pg_catalog.starts_with(pg_catalog.current_setting('application_name'), 'citus_internal')
          end;
end;

-- As in the first migration, and as above.
create or replace function :"schema".call(payload text) returns void
language sql volatile set search_path = ''
begin atomic
    select pg_catalog.pg_notify(:"schema".channel() || suffix, payload)
    from (values (''), ('_call')) as both_channels (suffix)
    where pg_catalog.pg_notification_queue_usage() < 0.9
      and case pg_catalog.current_setting('pgqueue.notify', true)
              when 'off' then false
              when 'on' then true
              else not pg_catalog.starts_with(pg_catalog.current_setting('application_name'), 'citus_internal')
          end;
end;
