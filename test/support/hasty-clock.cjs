/**
 * Preloaded into a Node-RED that is asked thousands of times in a test: each look at the clock finds it a quarter
 * of a second later, so that what the rate limit allows is what a patient caller would be allowed.
 */
const { performance } = require('node:perf_hooks');

const now = performance.now.bind(performance);
let ahead = 0;
Object.defineProperty(performance, 'now', {
  value: () => {
    ahead += 250;
    return now() + ahead;
  },
});
