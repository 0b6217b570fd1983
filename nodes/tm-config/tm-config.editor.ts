import { configSettings } from '../../lib/settings';
import { field, openDialog, saveNumbers, showRowsBy, valueOf, type Dialog } from '../shared/editor/form';
import { showPanelsAsTabs } from '../shared/editor/tabs';
import { answerTest } from '../shared/editor/test-button';
import { acceptedBy, brokerUrl, databaseUrl, httpUrl, tableName } from '../shared/editor/validate';

const PREFIX = 'node-config-input';
const NUMBERS = ['statementTimeoutSeconds', 'poolSize', 'requestTimeoutSeconds', 'longestRetryAfterSeconds'];
const inDatabase = (setting: (name: string) => unknown): boolean => setting('state') === 'database';

RED.nodes.registerType('tm-config', {
  category: 'config',
  color: '#62B6A8',
  icon: 'tm-config.svg',
  defaults: {
    name: { value: '' },
    databaseTls: { value: '', type: 'tls-config', required: false },
    timeZone: { value: 'UTC', validate: acceptedBy(configSettings, 'timeZone') },
    statementTimeoutSeconds: { value: 60, validate: acceptedBy(configSettings, 'statementTimeoutSeconds') },
    poolSize: { value: 4, validate: acceptedBy(configSettings, 'poolSize') },
    endpoint: { value: '', validate: httpUrl },
    endpointTls: { value: '', type: 'tls-config', required: false },
    proxy: { value: '', type: 'http proxy', required: false },
    timestampFormat: { value: 'iso', validate: acceptedBy(configSettings, 'timestampFormat') },
    compression: { value: 'auto', validate: acceptedBy(configSettings, 'compression') },
    requestTimeoutSeconds: { value: 60, validate: acceptedBy(configSettings, 'requestTimeoutSeconds') },
    conflict: { value: 'refused', validate: acceptedBy(configSettings, 'conflict') },
    longestRetryAfterSeconds: {
      value: 300,
      validate: acceptedBy(configSettings, 'longestRetryAfterSeconds'),
    },
    state: { value: 'file', validate: acceptedBy(configSettings, 'state') },
    stateDirectory: { value: '' },
    bookmarkTable: { value: '', validate: tableName('bookmarkTable', configSettings, { only: inDatabase }) },
    bookmarkNameColumn: { value: 'name' },
    bookmarkTimestampColumn: { value: 'timestamp' },
  },
  credentials: {
    databaseUrl: { type: 'password', validate: databaseUrl('databaseUrl') },
    endpointKey: { type: 'password' },
    requestKey: { type: 'password' },
    stateUrl: { type: 'password', validate: databaseUrl('stateUrl', { only: inDatabase }) },
    brokerUrl: { type: 'password', validate: brokerUrl },
  },
  label() {
    return this.name || this._('node.name');
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  oneditprepare() {
    const dialog = openDialog(this, PREFIX, this._def.defaults);
    showPanelsAsTabs(dialog, 'tm-config-tabs');
    showRowsBy(dialog, 'state');
    showOwnTableColumns(dialog);
    suggestTimeZones(dialog);
    const names = Object.keys({ ...this._def.defaults, ...this._def.credentials });
    answerTest(dialog, 'database', names);
    answerTest(dialog, 'endpoint', names);
    answerTest(dialog, 'broker', names);
  },
  oneditsave() {
    saveNumbers(this, PREFIX, NUMBERS);
  },
});

/** The columns mean something only where the user's own table is named. */
function showOwnTableColumns(dialog: Dialog): void {
  const update = (): void => {
    const own = valueOf(dialog, 'bookmarkTable').trim() !== '';
    dialog.form.find('.tm-bookmark-columns').toggle(own && valueOf(dialog, 'state') !== 'file');
  };
  field(dialog, 'bookmarkTable').on('change input', update);
  field(dialog, 'state').on('change', update);
  update();
}

/** All zones to choose from, and what the clock on the wall says in the chosen one. */
function suggestTimeZones(dialog: Dialog): void {
  const zones = ['UTC', ...Intl.supportedValuesOf('timeZone')];
  $('#tm-config-zones').append([...new Set(zones)].map((zone) => $('<option>').val(zone)));
  const update = (): void => {
    const timeZone = valueOf(dialog, 'timeZone').trim() || 'UTC';
    let now = '';
    try {
      const options = { timeZone, dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23' } as const;
      now = dialog.node._('zoneNow', { now: new Intl.DateTimeFormat(undefined, options).format() });
    } catch {
      // Not a zone (yet), or one that only the runtime's environment knows.
    }
    $('#tm-config-zone-now').text(now);
  };
  field(dialog, 'timeZone').on('change input', update);
  update();
}
