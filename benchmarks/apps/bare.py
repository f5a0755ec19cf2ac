"""The bare INSERT of pgqueue's row, into a table with its columns, domains and indexes."""

TABLE = "create schema bare; create table bare.job (like pgqueue.job including all)"
INSERT = """\
insert into bare.job (position, queue, task, args, priority, max_attempts)
values (nextval('pgqueue.position_seq'), 'default', {}, {}, 5, 25)
returning id"""
