const { createServer } = require('node:http');
const { gunzipSync } = require('node:zlib');

/** More than this is counted by its bytes alone. */
const KEPT_BYTES = 1_000_000_000;

const settings = { latencyMs: 0, gzip: false };
let posts = [];
let count = 0;
let bytesOnWire = 0;

const server = createServer((request, response) => {
  const chunks = [];
  let bytes = 0;
  request.on('data', (chunk) => {
    chunks.push(chunk);
    bytes += chunk.length;
  });
  request.on('end', () => {
    count++;
    bytesOnWire += bytes;
    if (bytesOnWire < KEPT_BYTES)
      posts.push({ gzip: request.headers['content-encoding'] === 'gzip', chunks });
    const answer = () => {
      response.writeHead(200, {
        'content-type': 'application/json',
        ...(settings.gzip ? { 'accept-encoding': 'gzip' } : {}),
      });
      response.end('{"status":"ok"}');
    };
    if (settings.latencyMs > 0) setTimeout(answer, settings.latencyMs);
    else answer();
  });
});
server.keepAliveTimeout = 600_000;

function readingsIn({ gzip, chunks }) {
  const body = gzip ? gunzipSync(Buffer.concat(chunks)) : Buffer.concat(chunks);
  let readings = 0;
  for (let at = body.indexOf('"timestamp"'); at >= 0; at = body.indexOf('"timestamp"', at + 11)) readings++;
  return readings;
}

process.on('message', ({ set, take }) => {
  if (set) Object.assign(settings, set);
  if (take) {
    const readings = posts.reduce((sum, post) => sum + readingsIn(post), 0);
    process.send({ posts: count, bytesOnWire, readings });
    posts = [];
    count = 0;
    bytesOnWire = 0;
    return;
  }
  process.send({});
});
process.on('disconnect', () => process.exit());

server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
