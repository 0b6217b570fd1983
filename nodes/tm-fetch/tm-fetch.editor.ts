import { fetchSettings } from '../../lib/fetch-settings';
import type { RawSettings } from '../../lib/settings';
import { configWith } from '../shared/editor/config-choice';
import { field, openDialog, saveNumbers, showRowsBy, valueOf, type Dialog } from '../shared/editor/form';
import { offerPreview } from '../shared/editor/preview';
import { openSections } from '../shared/editor/sections';
import { SqlEditor } from '../shared/editor/sql-editor';
import { acceptedBy, tableName } from '../shared/editor/validate';

const PREFIX = 'node-input';
type Setting = (name: string) => unknown;

const fromSql = (setting: Setting): boolean => setting('from') === 'sql';
const fromTable = (setting: Setting): boolean => !fromSql(setting);
const fetchFromTable = (raw: RawSettings): unknown => fetchSettings({ table: 'any', ...raw, from: 'table' });
const fetchFromSql = (raw: RawSettings): unknown => fetchSettings({ ...raw, from: 'sql' });
/** Whether `from` itself is one of the two: whatever else is wrong has its own reason. */
const either = (raw: RawSettings): unknown => fetchSettings({ table: 'any', ...raw });
const sqlOf = acceptedBy(fetchFromSql, 'sql', { only: fromSql });

/** Of the dialog that is open: there is never more than one of a node. */
let sqlEditor: SqlEditor | undefined;

RED.nodes.registerType('tm-fetch', {
  category: 'turbomechanica',
  color: '#62B6A8',
  icon: 'tm-fetch.svg',
  inputs: 1,
  outputs: 1,
  defaults: {
    name: { value: '' },
    config: { value: '', type: 'tm-config', validate: configWith({ secrets: ['databaseUrl'] }) },
    from: { value: 'table', validate: acceptedBy(either, 'from') },
    table: { value: '', validate: tableName('table', fetchFromTable, { only: fromTable }) },
    shape: { value: 'long', validate: acceptedBy(fetchFromTable, 'shape') },
    sensorColumn: { value: 'sensor_id' },
    timestampColumn: { value: 'timestamp' },
    valueColumn: { value: 'value' },
    wideColumns: { value: '' },
    sensorPrefix: { value: '' },
    sensors: { value: '' },
    exclude: { value: '' },
    rename: { value: '', validate: acceptedBy(fetchFromTable, 'rename') },
    qualityColumn: { value: '' },
    qualityAccepted: { value: '192' },
    extraColumns: { value: '', validate: acceptedBy(fetchFromTable, 'extraColumns') },
    trackBy: { value: '' },
    epochUnit: { value: 'auto', validate: acceptedBy(fetchFromTable, 'epochUnit') },
    sql: { value: '', validate: sqlOf },
    readingsPerBatch: { value: 10000, validate: acceptedBy(fetchFromTable, 'readingsPerBatch') },
    output: { value: 'body', validate: acceptedBy(fetchFromTable, 'output') },
    nullValues: { value: 'null', validate: acceptedBy(fetchFromTable, 'nullValues') },
  },
  paletteLabel: 'fetch',
  label() {
    return this.name || (this.from === 'table' && this.table) || this._('node.name');
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return this._('input');
  },
  outputLabels() {
    return this._('outputs.batches');
  },
  oneditprepare() {
    const dialog = openDialog(this, PREFIX, this._def.defaults);
    const input = field(dialog, 'sql');
    const editor = new SqlEditor('tm-fetch-sql-editor', input);
    sqlEditor = editor;
    const tellReason = (): void => {
      const answer = sqlOf.call(dialog.node, input.val(), {});
      editor.mark(answer === true);
      $('#tm-fetch-sql-reason').text(answer === true ? '' : answer);
    };
    input.on('change', tellReason);
    field(dialog, 'from').on('change', tellReason);
    tellReason();
    showRowsBy(dialog, 'shape');
    showRowsBy(dialog, 'from');
    openSections(dialog, this._def.defaults);
    countSensors(dialog);
    offerPreview(dialog, Object.keys(this._def.defaults));
  },
  oneditsave() {
    sqlEditor?.destroy();
    saveNumbers(this, PREFIX, ['readingsPerBatch']);
  },
  oneditcancel() {
    sqlEditor?.destroy();
  },
  oneditresize() {
    sqlEditor?.fill($('#dialog-form'));
  },
});

/** A list pasted from elsewhere: how many names it came to, so that a missing line break is seen. */
function countSensors(dialog: Dialog): void {
  const update = (): void => {
    const names = valueOf(dialog, 'sensors').split('\n');
    const count = new Set(names.map((name) => name.trim()).filter((name) => name !== '')).size;
    const key = count === 0 ? 'sensors.all' : count === 1 ? 'sensors.one' : 'sensors.many';
    $('#tm-fetch-sensor-count').text(dialog.node._(key, { count: count.toLocaleString() }));
  };
  field(dialog, 'sensors').on('input change', update);
  update();
}
