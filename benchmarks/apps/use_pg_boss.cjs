// pg-boss: large batches, two pollers a queue, LISTEN where latency is measured.
"use strict";

const { PgBoss } = require("pg-boss");
const { main, handlers, loads, argumentsOf, dsn, concurrency } = require("./common.cjs");

const POLLING_SECONDS = 0.5; // the least that pg-boss takes
const pollers = Number(process.env.BENCH_POLLERS || 2);
const POLLERS = concurrency ? Math.min(pollers, concurrency) : pollers;
const BATCH = Number(process.env.BENCH_BATCH || 1000);
const make = (options) => new PgBoss({ connectionString: dsn, ...options });

const peer = {
  async open() {
    this.boss = make({ max: 8, supervise: false, schedule: false });
    this.boss.on("error", () => {});
    await this.boss.start();
  },
  close() {
    return this.boss.stop({ graceful: false });
  },
  async install() {
    const timed = ["stamp", "brief", "nap", "effect"];
    for (const kind of Object.keys({ ...handlers, ...loads })) {
      await this.boss.createQueue(kind, { notify: timed.includes(kind) });
    }
  },
  bulk(kind, numbers) {
    return this.boss.insert(kind, numbers.map((n) => ({ data: argumentsOf(kind, n) })));
  },
  // insert() is of one queue, and each kind has its own.
  many(jobs) {
    const kinds = Object.groupBy(jobs, ([kind]) => kind);
    return Promise.all(
      Object.entries(kinds).map(([kind, of]) =>
        this.boss.insert(kind, of.map(([, n]) => ({ data: { n } }))),
      ),
    );
  },
  one(kind, n) {
    return this.boss.send(kind, { n });
  },
  async work() {
    const boss = make({ max: 10, useListenNotify: true });
    boss.on("error", (error) => console.error(error));
    await boss.start();
    const options = {
      batchSize: concurrency ? Math.ceil(concurrency / POLLERS) : BATCH,
      localConcurrency: POLLERS,
      pollingIntervalSeconds: POLLING_SECONDS,
      burstWhenBatchFull: true,
    };
    for (const [kind, handler] of Object.entries(handlers)) {
      await boss.work(kind, options, (jobs) => Promise.all(jobs.map((job) => handler(job.data.n, job.data.text))));
    }
    process.on("SIGTERM", async () => {
      await boss.stop({ graceful: true, timeout: 5000 });
      process.exit(0);
    });
  },
};

main(peer);
