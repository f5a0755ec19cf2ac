// Graphile Worker: local queue and batched completion, as its page on performance has them.
"use strict";

const { run, makeWorkerUtils, runMigrations, Logger } = require("graphile-worker");
const { main, handlers, argumentsOf, dsn, concurrency } = require("./common.cjs");

const concurrentJobs = concurrency || 24;
const localQueue = Number(process.env.BENCH_LOCAL_QUEUE || 500);
const quiet = new Logger(() => () => {});
const preset = {
  worker: {
    connectionString: dsn,
    concurrentJobs,
    maxPoolSize: 25,
    localQueue: { size: Math.max(localQueue, concurrentJobs + 1) },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
};
const tasks = Object.fromEntries(
  Object.entries(handlers).map(([name, handler]) => [name, (payload) => handler(payload.n, payload.text)]),
);

const peer = {
  async open() {
    this.utils = await makeWorkerUtils({ connectionString: dsn, maxPoolSize: 8, logger: quiet });
  },
  close() {
    return this.utils.release();
  },
  install() {
    return this.utils.migrate();
  },
  bulk(kind, numbers) {
    return this.utils.addJobs(numbers.map((n) => ({ identifier: kind, payload: argumentsOf(kind, n) })));
  },
  many(jobs) {
    return this.utils.addJobs(jobs.map(([identifier, n]) => ({ identifier, payload: { n } })));
  },
  one(kind, n) {
    return this.utils.addJob(kind, { n });
  },
  async work() {
    const runner = await run({ preset, taskList: tasks, logger: quiet });
    await runner.promise;
  },
};

main(peer);
