import { postSettings } from '../../lib/settings';
import { configWith } from '../shared/editor/config-choice';
import { openDialog, saveNumbers, showRowsBy } from '../shared/editor/form';
import { acceptedBy } from '../shared/editor/validate';

const PREFIX = 'node-input';
const NUMBERS = ['largestBodyMB', 'inFlight', 'attempts'];

RED.nodes.registerType('tm-post', {
  category: 'turbomechanica',
  color: '#62B6A8',
  icon: 'tm-post.svg',
  inputs: 1,
  outputs: 2,
  defaults: {
    name: { value: '' },
    config: {
      value: '',
      type: 'tm-config',
      validate: configWith({ settings: ['endpoint'], secrets: ['endpointKey'] }),
    },
    largestBodyMB: { value: 5, validate: acceptedBy(postSettings, 'largestBodyMB') },
    inFlight: { value: 2, validate: acceptedBy(postSettings, 'inFlight') },
    attempts: { value: 10, validate: acceptedBy(postSettings, 'attempts') },
    refused: { value: 'hold', validate: acceptedBy(postSettings, 'refused') },
  },
  paletteLabel: 'post',
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
    return this._(index === 0 ? 'outputs.receipts' : 'outputs.refused');
  },
  oneditprepare() {
    const dialog = openDialog(this, PREFIX, this._def.defaults);
    showRowsBy(dialog, 'refused');
  },
  oneditsave() {
    saveNumbers(this, PREFIX, NUMBERS);
  },
});
