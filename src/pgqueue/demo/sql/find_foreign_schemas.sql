-- Finds schemas of the demo's names that no demo has made.
-- needs: nothing
-- locks: nothing
select nspname
from pg_catalog.pg_namespace
where nspname in ('pgqueue_demo', 'pgqueue_demo_queue')
  and obj_description(oid, 'pg_namespace')
      is distinct from 'made by pgqueue demo, dropped by the next one'
order by nspname
