// What each JavaScript adapter's program does alike; the roles and the marks are those of common.py.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { setTimeout: pause } = require("node:timers/promises");
const { nowUs, ...crowd } = require("./crowd.cjs");
const mix = require("./mix.cjs");

const HEAD = 64;
const FLUSH_MS = 4; // there is no mmap here: what changed is written every so often
const dsn = process.env.BENCH_DSN;
const jobs = Number(process.env.BENCH_JOBS || 0);
const concurrency = Number(process.env.BENCH_CONCURRENCY || 0);
const bytes = Number(process.env.BENCH_BYTES || 0); // of the text that a job of "carry" has

class Marks {
  #file = null;
  #low = Infinity; // the part of the buffer that has changed
  #high = 0;

  #open() {
    const times = HEAD + Math.ceil(jobs / 8) * 8;
    this.buffer = Buffer.alloc(times + 8 * jobs);
    this.head = new BigUint64Array(this.buffer.buffer, this.buffer.byteOffset, HEAD / 8);
    this.times = new Uint32Array(this.buffer.buffer, this.buffer.byteOffset + times, 2 * jobs);
    this.start = times;
    this.count = 0;
    this.#file = fs.openSync(path.join(process.env.BENCH_MARKS, String(process.pid)), "w");
    fs.ftruncateSync(this.#file, this.buffer.length);
    setInterval(() => this.flush(), FLUSH_MS).unref();
    process.on("exit", () => this.flush());
  }

  hit(n) {
    if (this.#file === null) this.#open();
    this.buffer[HEAD + n] += 1;
    this.#changed(HEAD + n, HEAD + n + 1);
  }

  stamp(enqueuedUs) {
    const now = nowUs();
    if (this.#file === null) this.#open();
    const i = this.count++;
    if (i < jobs) {
      this.times[2 * i] = Math.floor(enqueuedUs / 1000) >>> 0;
      this.times[2 * i + 1] = Math.min(now - enqueuedUs, 0xffffffff);
      this.#changed(this.start + 8 * i, this.start + 8 * i + 8);
    }
    this.head[0] = BigInt(this.count);
  }

  #changed(low, high) {
    if (low < this.#low) this.#low = low;
    if (high > this.#high) this.#high = high;
  }

  flush() {
    if (this.#high === 0) return;
    fs.writeSync(this.#file, this.buffer, this.#low, this.#high - this.#low, this.#low);
    fs.writeSync(this.#file, this.buffer, 0, HEAD, 0);
    this.#low = Infinity;
    this.#high = 0;
  }
}

const marks = new Marks();

const handlers = {
  noop: async (n) => marks.hit(n),
  sleep: async (n) => {
    marks.hit(n);
    await pause(50);
  },
  stamp: async (n) => marks.stamp(n),
  brief: async (n) => {
    marks.stamp(n);
    await pause(10);
  },
};

// The kinds of the workloads `payload` and `mixed`: no worker of another one asks for them.
const loads = {
  nap: async (n) => {
    marks.stamp(n);
    await pause(20);
  },
  carry: async (n, text) => {
    if (text.length !== bytes) throw new Error(`a text of ${text.length}`);
    marks.hit(n);
  },
  effect: async (n) => {
    marks.stamp(n);
    await pool().query("insert into public.effect (n) values ($1)", [n]);
  },
};
if ("BENCH_LOADS" in process.env) Object.assign(handlers, loads);

let pool_ = null;
function pool() {
  pool_ ??= new (require("pg").Pool)({ connectionString: dsn, max: 10 });
  return pool_;
}

// Random letters: what compresses well would be a payload of its compressed size.
const letters = bytes ? crypto.randomBytes(bytes + 4096).toString("base64") : "";

// The arguments of a job; each of "carry" has another text than its neighbours.
function argumentsOf(kind, n) {
  return kind === "carry" ? { n, text: letters.slice(n % 4096, (n % 4096) + bytes) } : { n };
}

const seconds = (began) => Number(process.hrtime.bigint() - began) / 1e9;

async function bulk(peer, kind, first, count) {
  const began = process.hrtime.bigint();
  const used = process.cpuUsage();
  const numbers = Array.from({ length: Number(count) }, (_, i) => Number(first) + i);
  await peer.bulk(kind, numbers);
  const { user, system } = process.cpuUsage(used);
  return { seconds: seconds(began), cpu: (user + system) / 1e6 };
}

async function single(peer, variant, count, warmUp) {
  const times = [];
  for (let n = 0; n < Number(count) + Number(warmUp); n++) {
    const began = process.hrtime.bigint();
    await peer.one("noop", n);
    times.push(seconds(began));
  }
  return { seconds: times.slice(Number(warmUp)) };
}

async function stream(peer, kind, rate, span, spacing) {
  const began = process.hrtime.bigint();
  const sending = [];
  let due = 0;
  while (due < Number(span)) {
    const wait = due - seconds(began);
    if (wait > 0) await pause(wait * 1000);
    sending.push(peer.one(kind, nowUs()));
    due += spacing === "random" ? -Math.log(1 - Math.random()) / rate : 1 / rate;
  }
  await Promise.all(sending);
  return { sent: sending.length, seconds: seconds(began) };
}

async function clients(peer, count, span, first) {
  let number = Number(first);
  const before = 5 * Number(count); // each connection has its statements prepared
  await Promise.all(Array.from({ length: before }, () => peer.one("noop", number++)));
  const start = Number(process.env.BENCH_START || 0) - nowUs() / 1e6;
  if (start > 0) await pause(start * 1000);
  const began = process.hrtime.bigint();
  const press = async () => {
    let sent = 0;
    while (seconds(began) < Number(span)) {
      await peer.one("noop", number++);
      sent += 1;
    }
    return sent;
  };
  const sent = await Promise.all(Array.from({ length: Number(count) }, press));
  return { sent: sent.reduce((a, b) => a + b, 0), seconds: seconds(began), before };
}

async function main(peer) {
  const [role, ...rest] = process.argv.slice(2);
  if (role === "worker") return peer.work();
  const roles = { bulk, single, stream, clients, ...crowd, ...mix };
  await peer.open(role);
  const answer = role === "install" ? await peer.install() : await roles[role](peer, ...rest);
  await peer.close();
  console.log(JSON.stringify(answer ?? {}));
  process.exit(0);
}

module.exports = { main, handlers, loads, argumentsOf, marks, dsn, concurrency };
