import { bookmarkAction, scheduleSettings, SettingsReader, type RawSettings } from '../../lib/settings';
import { configWith } from '../shared/editor/config-choice';
import { openDialog, saveNumbers, showRowsBy } from '../shared/editor/form';
import { acceptedBy } from '../shared/editor/validate';
import { isVariable } from '../shared/editor/variable';

const PREFIX = 'node-input';
const NUMBERS = [
  'intervalMinutes',
  'longestMinutes',
  'settleSeconds',
  'lookbackMinutes',
  'inFlight',
  'alarmMinutes',
];
type Setting = (name: string) => unknown;

/** Settings of the other two actions are kept in the flow, and mean nothing to them. */
const only = (setting: Setting): boolean => setting('action') === 'next' || setting('action') === undefined;
/** The zone matters to what a date means, not to whether it is one. */
const schedule = (raw: RawSettings): unknown => scheduleSettings(raw, 'UTC');
/** An interval that only an environment variable knows may be as short as intervals get. */
const longest = ({ intervalMinutes, ...raw }: RawSettings): unknown =>
  schedule({ ...raw, intervalMinutes: isVariable(intervalMinutes) ? 1 / 60 : intervalMinutes });
const named = (raw: RawSettings): unknown =>
  new SettingsReader(raw).required('bookmark', 'the name of the bookmark to set');

RED.nodes.registerType('tm-bookmark', {
  category: 'turbomechanica',
  color: '#62B6A8',
  icon: 'tm-bookmark.svg',
  inputs: 1,
  outputs: 1,
  defaults: {
    name: { value: '' },
    config: { value: '', type: 'tm-config', validate: configWith({ secrets: ['databaseUrl'], only }) },
    action: { value: 'next', validate: acceptedBy(bookmarkAction, 'action') },
    bookmark: {
      value: '',
      validate: acceptedBy(named, 'bookmark', { only: (setting) => setting('action') === 'set' }),
    },
    start: { value: 'now', validate: acceptedBy(schedule, 'start', { only }) },
    startDate: {
      value: '',
      validate: acceptedBy(schedule, 'startDate', { alongWith: ['start'], only }),
    },
    intervalMinutes: { value: 1, validate: acceptedBy(schedule, 'intervalMinutes', { only }) },
    longestMinutes: {
      value: 30,
      validate: acceptedBy(longest, 'longestMinutes', { alongWith: ['intervalMinutes'], only }),
    },
    settleSeconds: { value: 30, validate: acceptedBy(schedule, 'settleSeconds', { only }) },
    lookbackMinutes: { value: 0, validate: acceptedBy(schedule, 'lookbackMinutes', { only }) },
    inFlight: { value: 1, validate: acceptedBy(schedule, 'inFlight', { only }) },
    alarmMinutes: { value: 15, validate: acceptedBy(schedule, 'alarmMinutes', { only }) },
  },
  paletteLabel: 'bookmark',
  label() {
    if (this.name) return this.name;
    const action = this._(`action.${this.action}`);
    return this.bookmark ? `${action}: ${this.bookmark}` : action;
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return this._(`input.${this.action}`);
  },
  outputLabels() {
    return this._(`output.${this.action}`);
  },
  oneditprepare() {
    const dialog = openDialog(this, PREFIX, this._def.defaults);
    showRowsBy(dialog, 'action');
    showRowsBy(dialog, 'start');
  },
  oneditsave() {
    saveNumbers(this, PREFIX, NUMBERS);
  },
});
