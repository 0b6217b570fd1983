/**
 * Loaded into the measured Node-RED before everything else: what the process itself can tell of its event loop,
 * memory and CPU time. Asked over the channel to the process that started it.
 */
const { monitorEventLoopDelay } = require('node:perf_hooks');

const SAMPLE_MS = 5;
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const ticks = { last: 0, gaps: [] };
let peakRss = 0;
let cpu = process.cpuUsage();

const sample = () => {
  peakRss = Math.max(peakRss, process.memoryUsage.rss());
};
setInterval(sample, SAMPLE_MS).unref();

/** For the nodes of the measured flow. */
globalThis.bench = {
  mark(name, message) {
    process.send?.({ mark: name, at: performance.timeOrigin + performance.now(), message });
  },
  tick() {
    const now = performance.now();
    if (ticks.last > 0) ticks.gaps.push(now - ticks.last);
    ticks.last = now;
  },
};

function report() {
  sample();
  const { user, system } = process.cpuUsage(cpu);
  return {
    rssMB: process.memoryUsage.rss() / 1e6,
    peakRssMB: peakRss / 1e6,
    cpuMs: (user + system) / 1000,
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMaxMs: delay.max / 1e6,
    tickGapsMs: ticks.gaps,
  };
}

function reset() {
  globalThis.gc?.();
  delay.reset();
  ticks.gaps = [];
  ticks.last = 0;
  peakRss = 0;
  cpu = process.cpuUsage();
  sample();
}

process.on('message', ({ ask } = {}) => {
  if (ask === undefined) return;
  const answer = report();
  if (ask === 'reset') reset();
  process.send({ answer });
});
process.channel?.unref();
