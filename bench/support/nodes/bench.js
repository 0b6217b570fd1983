/** Nodes of the measured flows that a user would have by other means: a mark for the clock, and a query node. */
const { createRequire } = require('node:module');
const { Pool } = createRequire(process.env.BENCH_PROJECT)('pg');

module.exports = (RED) => {
  /** Tells the time at which a message passes. */
  RED.nodes.registerType('bench-mark', function mark(config) {
    RED.nodes.createNode(this, config);
    this.on('input', (message, send, done) => {
      const { payload, statusCode } = message;
      const small = typeof payload === 'object' && !Buffer.isBuffer(payload) ? payload : undefined;
      globalThis.bench.mark(config.name, { statusCode, payload: Array.isArray(small) ? undefined : small });
      send(message);
      done();
    });
  });

  RED.nodes.registerType('bench-tick', function tick(config) {
    RED.nodes.createNode(this, config);
    this.on('input', (_message, _send, done) => {
      globalThis.bench.tick();
      done();
    });
  });

  /** As the query nodes of the palette: parameters in, all rows out as objects. */
  RED.nodes.registerType('bench-query', function query(config) {
    RED.nodes.createNode(this, config);
    const pool = new Pool({ connectionString: process.env.DATABASE_URL });
    this.on('input', async (message, send, done) => {
      try {
        const { rows } = await pool.query(config.sql, message.params);
        send({ ...message, payload: rows });
        done();
      } catch (error) {
        done(error);
      }
    });
    this.on('close', (_removed, done) => void pool.end().finally(done));
  });

  RED.httpAdmin.post('/bench/:id', (request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += chunk));
    request.on('end', () => {
      const message = text === '' ? {} : JSON.parse(text);
      response.sendStatus(204);
      RED.nodes.getNode(request.params.id)?.receive(message);
    });
  });
};
