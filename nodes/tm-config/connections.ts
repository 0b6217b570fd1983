/**
 * What the nodes that share a tm-config share: one connection pool, one HTTP client, one state store, one
 * object per bookmark. Opened when first needed, closed on redeploy.
 */
import path from 'node:path';
import type { Node, NodeAPI } from 'node-red';
import { Alarm } from '../../lib/alarm';
import { Bookmark } from '../../lib/bookmark';
import { Endpoint } from '../../lib/endpoint/endpoint';
import { TmError } from '../../lib/errors';
import { RejectedRanges } from '../../lib/rejected';
import type { Schedule } from '../../lib/schedule';
import { configSettings, SettingsReader, type ConfigSettings, type RawSettings } from '../../lib/settings';
import { addressId, parseDatabaseUrl, type DatabaseAddress } from '../../lib/database-url';
import { parseBrokerUrl, type BrokerAddress } from '../../lib/queue/broker-url';
import { openSource } from '../../lib/source/open';
import type { ReadingsQuery, Source } from '../../lib/source/source';
import { DatabaseStore } from '../../lib/state/database-store';
import { FileStore } from '../../lib/state/file-store';
import type { StateStore } from '../../lib/state/store';
import type { ConnectorNode } from '../shared/node';
import { endpointSettings } from './endpoint-settings';
import { instanceOf } from './instance';
import { tlsOptions } from './tls';

/** The secrets of a tm-config, as Node-RED keeps them apart from the flow. */
export interface ConfigCredentials {
  readonly databaseUrl?: string;
  readonly endpointKey?: string;
  readonly requestKey?: string;
  readonly stateUrl?: string;
  readonly brokerUrl?: string;
}

/** What a tm-config node is to the other nodes. */
export interface ConfigNode extends Node<ConfigCredentials> {
  readonly connections: Connections | undefined;
  readonly refusal: TmError | undefined;
  /** Node-RED sends a config node's errors and statuses to the nodes named here. */
  readonly users: Record<string, Node>;
}

/** What of its node a tm-config's connections use. */
export interface ConfigIdentity {
  readonly id: string;
  warn(message: string): void;
}

const FILE_STATE_DIRECTORY = 'turbomechanica';

/** Bookmarks that a schedule of this process gives windows out of, whatever tm-config it uses. */
const schedules = new Map<string, Schedule>();

export class Connections {
  readonly settings: ConfigSettings;

  readonly #RED: NodeAPI;
  readonly #raw: RawSettings;
  readonly #credentials: SettingsReader;
  readonly #node: ConfigIdentity;
  readonly #readers = new Map<string, ReadingsQuery>();
  readonly #bookmarks = new Map<string, Promise<Bookmark>>();
  #source: Source | undefined;
  #endpoint: Endpoint | undefined;
  #store: StateStore | undefined;
  #rejected: RejectedRanges | undefined;

  constructor(RED: NodeAPI, node: ConfigIdentity, raw: RawSettings, credentials: ConfigCredentials) {
    this.settings = configSettings(raw);
    this.#RED = RED;
    this.#raw = raw;
    this.#node = node;
    this.#credentials = new SettingsReader({ ...credentials });
  }

  /** @throws TmError TM_SETTING_INVALID, TM_ENV_UNSET */
  source(): Source {
    this.#source ??= openSource({
      address: parseDatabaseUrl(this.#credentials.required('databaseUrl', 'the URL of the database')),
      timeZone: this.settings.timeZone,
      statementTimeoutSeconds: this.settings.statementTimeoutSeconds,
      poolSize: this.settings.poolSize,
      tls: tlsOptions(this.#RED, this.#raw.databaseTls),
    });
    return this.#source;
  }

  /** @throws TmError TM_SETTING_INVALID, TM_ENV_UNSET */
  endpoint(): Endpoint {
    this.#endpoint ??= new Endpoint(endpointSettings(this.#RED, this.#raw, this.#credentials, this.settings));
    return this.#endpoint;
  }

  /** What is open already, for those who watch. */
  get openSource(): Source | undefined {
    return this.#source;
  }

  get openEndpoint(): Endpoint | undefined {
    return this.#endpoint;
  }

  /** The key of the request API. @throws TmError TM_SETTING_INVALID, TM_ENV_UNSET */
  requestKey(): string {
    return this.#credentials.required('requestKey', 'the key that callers of the request API must send');
  }

  /** Of the queue that several machines share. @throws TmError TM_SETTING_INVALID, TM_ENV_UNSET */
  broker(): BrokerAddress {
    return parseBrokerUrl(this.#credentials.required('brokerUrl', 'the URL of the broker'));
  }

  /** @throws TmError TM_SETTING_INVALID, TM_ENV_UNSET */
  store(): StateStore {
    if (this.#store) return this.#store;
    const { settings } = this;
    if (settings.state === 'file') {
      this.#store = new FileStore(
        settings.stateDirectory || path.join(this.#userDirectory(), FILE_STATE_DIRECTORY),
      );
    } else {
      const { bookmarkTable, bookmarkNameColumn, bookmarkTimestampColumn, timeZone } = settings;
      const address = this.#stateAddress();
      this.#store = DatabaseStore.connect(address, {
        tls: this.#isOnSourceServer(address) ? tlsOptions(this.#RED, this.#raw.databaseTls) : undefined,
        ...(bookmarkTable !== '' && {
          bookmarkTable: {
            table: bookmarkTable,
            nameColumn: bookmarkNameColumn,
            timestampColumn: bookmarkTimestampColumn,
            timeZone,
          },
        }),
      });
    }
    const store = this.#store;
    store.onWarning = (message) => {
      this.#node.warn(message);
    };
    return store;
  }

  /** To Catch, through the node whose alarm it is. @throws TmError TM_SETTING_INVALID, TM_ENV_UNSET */
  alarm(node: Pick<ConnectorNode, 'id' | 'problem'>): Alarm {
    return new Alarm(this.ownerOf(node), {
      store: this.store(),
      report: (error, notice) => {
        node.problem(error, notice);
      },
    });
  }

  /** Whose state of this machine alone it is: where several share a database, the same flow runs on each. */
  ownerOf({ id }: Pick<ConnectorNode, 'id'>): string {
    return this.settings.state === 'database' ? `${id}@${instanceOf(this.#RED)}` : id;
  }

  /** What the endpoint refused for good. @throws TmError TM_SETTING_INVALID, TM_ENV_UNSET */
  rejected(): RejectedRanges {
    this.#rejected ??= new RejectedRanges({
      store: this.store(),
      source: this.sourceId,
      timeZone: this.settings.timeZone,
      warn: (message) => {
        this.#node.warn(message);
      },
    });
    return this.#rejected;
  }

  /** One object per bookmark, so that all nodes see each other's moves. */
  bookmark(name: string): Promise<Bookmark> {
    let bookmark = this.#bookmarks.get(name);
    if (!bookmark) {
      bookmark = Bookmark.open(this.store(), name);
      this.#bookmarks.set(name, bookmark);
      bookmark.catch(() => {
        // Tried afresh next time: a broken state may be mended, a database come back.
        this.#bookmarks.delete(name);
      });
    }
    return bookmark;
  }

  schedule(bookmark: string): Schedule | undefined {
    return schedules.get(this.#scheduleKey(bookmark));
  }

  /** @throws TmError TM_BOOKMARK_IN_USE: two would give the same windows out twice */
  addSchedule(bookmark: string, schedule: Schedule): void {
    const key = this.#scheduleKey(bookmark);
    if (schedules.has(key)) {
      throw new TmError(
        'TM_BOOKMARK_IN_USE',
        `Another tm-bookmark (next window) already uses the bookmark "${bookmark}". Give this one another bookmark name.`,
      );
    }
    schedules.set(key, schedule);
  }

  removeSchedule(bookmark: string, schedule: Schedule): void {
    const key = this.#scheduleKey(bookmark);
    if (schedules.get(key) === schedule) schedules.delete(key);
  }

  addReader(nodeId: string, query: ReadingsQuery): void {
    this.#readers.set(nodeId, query);
  }

  removeReader(nodeId: string): void {
    this.#readers.delete(nodeId);
  }

  /** The oldest reading of all tables that are read through this tm-config. */
  async oldest(): Promise<number | undefined> {
    if (this.#readers.size === 0) {
      throw new TmError(
        'TM_SETTING_INVALID',
        'start is "oldest reading", but no tm-fetch uses the same tm-config: there is no table to look into. Choose a date.',
      );
    }
    const oldest: number[] = [];
    for (const query of this.#readers.values()) {
      const instant = await this.source().oldest(query, (message) => {
        this.#node.warn(message);
      });
      if (instant !== undefined) oldest.push(instant);
    }
    return oldest.length === 0 ? undefined : Math.min(...oldest);
  }

  /** Tells this source from others, in every Idempotency-Key: the database, or this tm-config where there is none. */
  get sourceId(): string {
    try {
      return addressId(parseDatabaseUrl(this.#credentials.text('databaseUrl')));
    } catch {
      return `tm-config:${this.#node.id}`;
    }
  }

  closed(type: string): TmError {
    return new TmError(
      'TM_CLOSED',
      `${type} is being stopped; what it did not finish is done again after it starts.`,
    );
  }

  async close(): Promise<void> {
    const bookmarks = await Promise.allSettled(this.#bookmarks.values());
    const closeBookmarks = bookmarks.map((opened) =>
      opened.status === 'fulfilled' ? opened.value.close() : undefined,
    );
    await Promise.allSettled([...closeBookmarks, this.#source?.close(), this.#endpoint?.close()]);
    await this.#store?.close();
  }

  #stateAddress(): DatabaseAddress {
    const url = this.#credentials.required('stateUrl', 'the URL of the database for state');
    const address = parseDatabaseUrl(url, 'stateUrl');
    if (address.engine === 'postgresql') return address;
    throw new TmError(
      'TM_SETTING_INVALID',
      `stateUrl is of ${address.engine}; state is kept in PostgreSQL, or in files. Choose files, or give the URL of a PostgreSQL database.`,
    );
  }

  /** Then the database's TLS configuration is meant for it too; another server has its mode in its URL. */
  #isOnSourceServer({ host, port }: DatabaseAddress): boolean {
    const url = this.#credentials.text('databaseUrl');
    if (url === '') return false;
    const source = parseDatabaseUrl(url);
    return source.engine === 'postgresql' && source.host === host && source.port === port;
  }

  #scheduleKey(bookmark: string): string {
    const { state, stateDirectory } = this.settings;
    return JSON.stringify([state === 'file' ? stateDirectory : this.#node.id, bookmark]);
  }

  #userDirectory(): string {
    return this.#RED.settings.userDir ?? process.cwd();
  }
}

/** @throws TmError where the node's tm-config is missing, disabled or refused its settings */
export function configOf(RED: NodeAPI, raw: RawSettings): Connections {
  const { config } = raw;
  const node =
    typeof config === 'string' && config !== '' ? (RED.nodes.getNode(config) as ConfigNode | null) : null;
  if (!node) throw new TmError('TM_SETTING_INVALID', 'config is not chosen. Choose a tm-config.');
  if (node.refusal) throw node.refusal;
  if (!node.connections) throw new TmError('TM_SETTING_INVALID', `config ${node.id} is not a tm-config.`);
  return node.connections;
}
