import { requestSettings } from '../../lib/settings';
import { configWith } from '../shared/editor/config-choice';
import { openDialog, saveNumbers } from '../shared/editor/form';
import { acceptedBy } from '../shared/editor/validate';

const PREFIX = 'node-input';
const NUMBERS = ['longestMinutes', 'inFlight', 'queueLimit', 'keepDays', 'keepTasks'];

RED.nodes.registerType('tm-request', {
  category: 'turbomechanica',
  color: '#62B6A8',
  icon: 'tm-request.svg',
  inputs: 1,
  outputs: 2,
  defaults: {
    name: { value: '' },
    config: { value: '', type: 'tm-config', validate: configWith({ secrets: ['requestKey'] }) },
    longestMinutes: { value: 30, validate: acceptedBy(requestSettings, 'longestMinutes') },
    inFlight: { value: 1, validate: acceptedBy(requestSettings, 'inFlight') },
    queueLimit: { value: 100, validate: acceptedBy(requestSettings, 'queueLimit') },
    keepDays: { value: 7, validate: acceptedBy(requestSettings, 'keepDays') },
    keepTasks: { value: 1000, validate: acceptedBy(requestSettings, 'keepTasks') },
  },
  paletteLabel: 'request',
  label() {
    return this.name || this._('node.name');
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return this._('input');
  },
  outputLabels(index) {
    return this._(index === 0 ? 'outputs.response' : 'outputs.windows');
  },
  oneditprepare() {
    openDialog(this, PREFIX, this._def.defaults);
  },
  oneditsave() {
    saveNumbers(this, PREFIX, NUMBERS);
  },
});
