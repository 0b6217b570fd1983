/** What the *Preview* button of the dialog and its lists of tables and columns show. */
import type { NodeAPI } from 'node-red';
import { reasonOf } from '../../lib/errors';
import { fetchSettings } from '../../lib/fetch-settings';
import { preview, type Preview } from '../../lib/preview';
import type { ReadingsQuery } from '../../lib/source/source';
import { resolveSettings, serveEditor, tryConnections } from '../tm-config/trial';

/** What the dialog sends. */
interface PreviewForm {
  /** Settings and secrets of the tm-config, with its id. */
  readonly config?: unknown;
  /** Settings of the tm-fetch, with its id. */
  readonly fetch?: unknown;
  /** Without it only tables and columns are answered. */
  readonly readings?: unknown;
}

/** The readings may fail where tables and columns do not: that is when these are needed most. */
type PreviewAnswer = Preview & { readonly problem?: string };

export function servePreview(RED: NodeAPI): void {
  serveEditor(RED, '/turbomechanica/preview', 'tm-fetch.write', (body) => {
    const { config, fetch, readings }: PreviewForm = typeof body === 'object' && body !== null ? body : {};
    return tryConnections(RED, config, async (connections, { signal, clean }): Promise<PreviewAnswer> => {
      const source = connections.source();
      const { timeZone } = connections.settings;
      const resolved = resolveSettings(RED, fetch);
      const settings = resolved.values;
      const table =
        settings.from !== 'sql' && typeof settings.table === 'string' ? settings.table.trim() : '';
      const shown = { ...(table === '' ? {} : { table }), timeZone, signal };
      if (readings !== true) return preview(source, shown);
      let query: ReadingsQuery;
      try {
        ({ query } = fetchSettings(settings));
        return await preview(source, { ...shown, query });
      } catch (error) {
        return { ...(await preview(source, shown)), problem: clean(reasonOf(error), resolved) };
      }
    });
  });
}
