/** Loaded into Node-RED before anything else: it stops when the process that started it is gone, even killed. */
const PATIENCE_MS = 20_000;

process.once('disconnect', () => {
  // Nobody reads any more what it prints meanwhile.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  if (!process.emit('SIGTERM')) process.exit(1);
  setTimeout(() => process.exit(1), PATIENCE_MS).unref();
});
