-- Removes the demo's two schemas and all in them, after giving up what was begun and not ended.
-- needs: nothing
-- locks: every table of them
rollback;
set client_min_messages = warning;
drop schema if exists pgqueue_demo, pgqueue_demo_queue cascade;
reset client_min_messages;
