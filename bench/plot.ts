/**
 * Draws docs/images/throughput.svg from what `throughput` measured last. `npm run bench -- plot [rows]`
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RESULTS, type Measurement } from './support/figures';

const WIDTH = 860;
const LABEL_WIDTH = 420;
const VALUE_WIDTH = 110;
const ROW_HEIGHT = 34;
const TOP = 44;
const OUTPUT = join(__dirname, '..', 'docs', 'images', 'throughput.svg');

/** In both themes of a page: the picture asks the reader's. */
const STYLE = `
  text { font: 14px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; }
  .limit { fill: #8c959f; }
  .connector { fill: #c0392b; }
  .others { fill: #d4a72c; }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } }`;

export async function plot(rows = 1_000_800): Promise<void> {
  const file = join(RESULTS, `throughput-${rows}.json`);
  const measured = JSON.parse(await readFile(file, 'utf8')) as Measurement;
  const bars = measured.rows.map(([way, rate]) => ({
    way: String(way).replaceAll('`', ''),
    rate: Number(rate),
  }));
  const most = Math.max(...bars.map(({ rate }) => rate));
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most;
  const height = TOP + bars.length * ROW_HEIGHT + 8;
  const lines = bars.map(({ way, rate }, index) => {
    const y = TOP + index * ROW_HEIGHT;
    const length = Math.max(1, Math.round(rate * scale));
    return `
  <text x="${LABEL_WIDTH - 10}" y="${y + 16}" text-anchor="end">${escaped(shortened(way))}</text>
  <rect class="${classOf(way)}" x="${LABEL_WIDTH}" y="${y}" width="${length}" height="22" rx="3"/>
  <text x="${LABEL_WIDTH + length + 8}" y="${y + 16}">${Math.round(rate).toLocaleString('en-US')}</text>`;
  });
  await writeFile(
    OUTPUT,
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Rows a second by each way">
  <style>${STYLE}
  </style>
  <text class="title" x="10" y="24">${escaped(`${measured.title}: rows a second, medians`)}</text>${lines.join('')}
</svg>
`,
  );
  console.log(OUTPUT);
}

function classOf(way: string): 'limit' | 'connector' | 'others' {
  if (way.startsWith('psql')) return 'limit';
  return way.startsWith('the connector') ? 'connector' : 'others';
}

function shortened(way: string): string {
  return way.replace(': the same rows in the same order', '');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
