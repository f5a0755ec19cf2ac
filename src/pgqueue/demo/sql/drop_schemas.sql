-- Removes the demo's two schemas and all in them.
-- locks: every table of them
set local client_min_messages = warning;
drop schema if exists pgqueue_demo, pgqueue_demo_queue cascade;
