// What presses a fleet, as in crowd.py: callers in a loop, a stream that outlives errors, bursts.
"use strict";

const { setTimeout: pause } = require("node:timers/promises");

const nowUs = () => Number(process.hrtime.bigint() / 1000n);

async function callers(peer, count, seconds) {
  await peer.one("stamp", nowUs()); // connects
  const began = nowUs();
  const end = began + Number(seconds) * 1e6;
  const call = async () => {
    let sent = 0;
    for (; nowUs() < end; sent++) await peer.one("stamp", nowUs());
    return sent;
  };
  const sent = await Promise.all(Array.from({ length: Number(count) }, call));
  const total = sent.reduce((a, b) => a + b, 0);
  return { sent: total, before: 1, began_us: began, seconds: (nowUs() - began) / 1e6 };
}

async function feed(peer, rate, seconds, most) {
  await peer.one("stamp", nowUs());
  const running = new Set();
  const counts = { asked: 0, sent: 0, failed: 0 };
  const call = async () => {
    try {
      await peer.one("stamp", nowUs());
      counts.sent += 1;
    } catch {
      counts.failed += 1;
    }
  };
  const began = nowUs();
  let due = began;
  while (due < began + Number(seconds) * 1e6) {
    await pause(Math.max(0, (due - nowUs()) / 1000));
    counts.asked += 1;
    if (running.size < Number(most)) {
      const task = call();
      running.add(task);
      task.then(() => running.delete(task));
    }
    due += 1e6 / Number(rate);
  }
  const took = (nowUs() - began) / 1e6;
  await Promise.all(running);
  return { ...counts, before: 1, began_us: began, seconds: took };
}

async function bursts(peer, kind, size, times, wait) {
  const began = nowUs();
  for (let number = 0; number < Number(times); number++) {
    if (number) await pause(Number(wait) * 1000);
    await peer.bulk(kind, Array(Number(size)).fill(nowUs()));
  }
  return { sent: Number(size) * Number(times), before: 0, began_us: began };
}

module.exports = { callers, feed, bursts, nowUs };
