// A mix of jobs, as in mix.py: of twenty, 16 note their start, 3 wait for 20 ms, and 1 inserts a row.
"use strict";

const { setTimeout: pause } = require("node:timers/promises");
const { nowUs } = require("./crowd.cjs");

const TICK_MS = 5;
const ORDER = Array.from({ length: 20 }, (_, n) =>
  n === 8 ? "effect" : n % 5 === 3 ? "nap" : "stamp",
);

const kindsOf = (first, count) =>
  Array.from({ length: count }, (_, i) => ORDER[(first + i) % ORDER.length]);
const effects = (count) => kindsOf(0, count).filter((kind) => kind === "effect").length;

async function mixed_backlog(peer, count, piece) {
  for (let first = 0; first < Number(count); first += Number(piece)) {
    const size = Math.min(Number(piece), Number(count) - first);
    await peer.many(kindsOf(first, size).map((kind) => [kind, nowUs()]));
  }
  return { sent: Number(count), effects: effects(Number(count)) };
}

async function mixed_stream(peer, rate, seconds) {
  const calls = [];
  const began = nowUs();
  let sent = 0;
  for (;;) {
    const now = nowUs();
    if (now - began >= Number(seconds) * 1e6) break;
    const due = Math.floor(((now - began) / 1e6) * Number(rate)) - sent;
    if (due > 0) {
      calls.push(peer.many(kindsOf(sent, due).map((kind) => [kind, now])));
      sent += due;
    }
    await pause(TICK_MS);
  }
  await Promise.all(calls);
  return { sent, effects: effects(sent), seconds: (nowUs() - began) / 1e6 };
}

module.exports = { mixed_backlog, mixed_stream };
