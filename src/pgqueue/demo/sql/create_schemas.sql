-- Makes what the demo works on; the tables of the queue come from its migrations.
-- result has no unique constraint: a result that is written twice must show, not fail.
-- needs: nothing
-- locks: nothing
create schema pgqueue_demo;
comment on schema pgqueue_demo is 'made by pgqueue demo, dropped by the next one';
create schema pgqueue_demo_queue;
comment on schema pgqueue_demo_queue is 'made by pgqueue demo, dropped by the next one';

create table pgqueue_demo.file (
    id       bigint generated always as identity primary key,
    path     text not null,
    tenant   text not null,
    poison   boolean not null,
    added_at timestamptz not null default clock_timestamp()
);

create table pgqueue_demo.result (
    file_id         bigint not null,
    bytes           bigint,
    lines           bigint,
    compressed      bigint,
    digest          bytea,
    unreadable      text,
    written_at      timestamptz not null default clock_timestamp(),
    constraint result_or_reason check ((digest is null) = (unreadable is not null))
);

-- Each start of a job, committed at once: what was started stays known when its worker is killed.
create table pgqueue_demo.attempt (
    job_id     bigint not null,
    file_id    bigint not null,
    attempt    integer not null,
    pid        integer not null,
    started_at timestamptz not null default clock_timestamp()
);

-- What the jobs of the schedule found.
create table pgqueue_demo.tally (
    slot    timestamptz not null,
    results bigint not null
);

-- The worker that was killed, and what it held at that moment.
create table pgqueue_demo.killed (
    worker_id bigint not null,
    pid       integer not null,
    killed_at timestamptz not null
);

create table pgqueue_demo.held (
    job_id  bigint primary key,
    started boolean not null
);
