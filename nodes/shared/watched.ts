/** The parts of this process that are watched from outside: each is added by the node that has it, and removed with it. */
import type { Endpoint } from '../../lib/endpoint/endpoint';
import type { TmError } from '../../lib/errors';
import type { Watched, WatchedBookmark, WatchedTasks } from '../../lib/health';
import type { Source } from '../../lib/source/source';

/** What of a tm-config is open. */
interface WatchedConfig {
  readonly openSource: Source | undefined;
  readonly openEndpoint: Endpoint | undefined;
}

export const watched = {
  configs: new Set<WatchedConfig>(),
  bookmarks: new Set<WatchedBookmark>(),
  tasks: new Set<WatchedTasks>(),
  refusals: new Set<TmError>(),
};

/** As they are now. */
export function whatIsWatched(): Watched {
  const configs = [...watched.configs];
  return {
    databases: configs.flatMap(({ openSource }) => openSource ?? []),
    endpoints: configs.flatMap(({ openEndpoint }) => openEndpoint ?? []),
    bookmarks: [...watched.bookmarks],
    tasks: [...watched.tasks],
    refusals: [...watched.refusals],
  };
}
