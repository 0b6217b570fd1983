import { queueSettings } from '../../lib/settings';
import { configWith } from '../shared/editor/config-choice';
import { openDialog, saveNumbers } from '../shared/editor/form';
import { acceptedBy } from '../shared/editor/validate';

const PREFIX = 'node-input';
const NUMBERS = ['inFlight'];

RED.nodes.registerType('tm-queue', {
  category: 'turbomechanica',
  color: '#62B6A8',
  icon: 'tm-queue.svg',
  inputs: 1,
  outputs: 1,
  defaults: {
    name: { value: '' },
    config: { value: '', type: 'tm-config', validate: configWith({ secrets: ['brokerUrl'] }) },
    queue: { value: 'turbomechanica', validate: acceptedBy(queueSettings, 'queue') },
    inFlight: { value: 2, validate: acceptedBy(queueSettings, 'inFlight') },
  },
  paletteLabel: 'queue',
  label() {
    return this.name || this._('node.name');
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return this._('input');
  },
  outputLabels() {
    return this._('output');
  },
  oneditprepare() {
    openDialog(this, PREFIX, this._def.defaults);
  },
  oneditsave() {
    saveNumbers(this, PREFIX, NUMBERS);
  },
});
