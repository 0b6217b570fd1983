/**
 * A process that changes one record of a shared store, again and again: started by tests, which may kill it.
 * Arguments: `file:<directory>` or the URL of a database; how often. It prints each count that is durable.
 */
import { parseDatabaseUrl } from '../../lib/database-url';
import { DatabaseStore } from '../../lib/state/database-store';
import { FileStore } from '../../lib/state/file-store';

async function main(): Promise<void> {
  const [place = '', times = '0'] = process.argv.slice(2);
  const store = place.startsWith('file:')
    ? new FileStore(place.slice('file:'.length))
    : DatabaseStore.connect(parseDatabaseUrl(place));
  for (let time = 0; time < Number(times); time++) {
    let count = 0;
    await store.update('bookmark', 'shared', (stored) => {
      count = Number(stored?.count ?? 0) + 1;
      return { count };
    });
    process.stdout.write(`${count}\n`);
  }
  await store.close();
}

void main();
