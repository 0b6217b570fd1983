/** The newest readings over time, a line for each sensor: enough to see whether they are what they should be. */
import type { PreviewReading } from '../../../lib/preview';

const WIDTH = 600;
const HEIGHT = 140;
const MARGIN = { top: 8, right: 8, bottom: 18, left: 56 };
/** Told apart on a light and on a dark ground, by those who see few colours too. */
const COLORS = ['#3b82c4', '#e08214', '#35978f', '#c2568f', '#8c6bb1', '#8a8a2a'];

interface Point {
  readonly at: number;
  readonly value: number;
}

export function plot(
  readings: readonly PreviewReading[],
  say: (key: string, values: Record<string, number>) => string,
): JQuery {
  const lines = new Map<string, Point[]>();
  for (const { sensor, timestamp, value } of readings) {
    const at = Date.parse(timestamp);
    if (typeof value !== 'number' || Number.isNaN(at)) continue;
    const line = lines.get(sensor) ?? [];
    line.push({ at, value });
    lines.set(sensor, line);
  }
  const drawn = [...lines].slice(0, COLORS.length);
  const points = drawn.flatMap(([, line]) => line);
  const holder = $('<div class="tm-plot">');
  if (points.length === 0) return holder;
  const x = scale(
    points.map(({ at }) => at),
    MARGIN.left,
    WIDTH - MARGIN.right,
  );
  const y = scale(
    points.map(({ value }) => value),
    HEIGHT - MARGIN.bottom,
    MARGIN.top,
  );
  const svg = element('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' });
  const baseline = HEIGHT - MARGIN.bottom;
  svg.append(
    element('path', {
      class: 'tm-axis',
      d: `M${MARGIN.left},${MARGIN.top}V${baseline}H${WIDTH - MARGIN.right}`,
    }),
  );
  label(svg, short(y.most), MARGIN.left - 6, MARGIN.top + 8, 'end');
  label(svg, short(y.least), MARGIN.left - 6, baseline, 'end');
  label(svg, time(x.least), MARGIN.left, HEIGHT - 4, 'start');
  label(svg, time(x.most), WIDTH - MARGIN.right, HEIGHT - 4, 'end');
  drawn.forEach(([sensor, line], index) => {
    const color = COLORS[index] ?? '';
    const places = line.map(({ at, value }) => [x.place(at), y.place(value)] as const);
    const title = element('title', {});
    title.textContent = sensor;
    const path = element('path', {
      d: `M${places.map(([left, top]) => `${left.toFixed(1)},${top.toFixed(1)}`).join('L')}`,
      fill: 'none',
      stroke: color,
      'stroke-width': '1.5',
    });
    path.append(title);
    svg.append(path);
    // A sensor with one reading has no line.
    for (const [left, top] of places.length > 1 ? [] : places)
      svg.append(element('circle', { cx: String(left), cy: String(top), r: '2.5', fill: color }));
  });
  const legend = $('<div class="tm-legend">');
  drawn.forEach(([sensor], index) => {
    const mark = $('<span class="tm-mark">').css('background', COLORS[index] ?? '');
    legend.append($('<span>').append(mark, document.createTextNode(sensor)));
  });
  const more = lines.size - drawn.length;
  if (more > 0) legend.append($('<span>').text(say('more', { count: more })));
  return holder.append(svg, legend);
}

function scale(
  values: readonly number[],
  from: number,
  to: number,
): { readonly least: number; readonly most: number; place(value: number): number } {
  const least = Math.min(...values);
  const most = Math.max(...values);
  // A line that never changes lies in the middle.
  const place = (value: number): number =>
    most === least ? (from + to) / 2 : from + ((value - least) / (most - least)) * (to - from);
  return { least, most, place };
}

function label(svg: SVGElement, text: string, x: number, y: number, anchor: 'start' | 'end'): void {
  const element_ = element('text', { x: String(x), y: String(y), 'text-anchor': anchor, class: 'tm-tick' });
  element_.textContent = text;
  svg.append(element_);
}

function element(name: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function short(value: number): string {
  return Number(value.toPrecision(5)).toString();
}

/** `12:00:05` in UTC, as the table beside it. */
function time(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}
