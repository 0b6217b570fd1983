import assert from 'node:assert/strict';
import type { Browser, Page } from 'playwright-core';
import { findBrowser, launchBrowser } from '../../scripts/editor/browser';
import { startCloud, type Cloud } from '../../scripts/start/cloud';

const KEY = 'key-of-the-page';
const START = Date.parse('2026-01-31T12:00:00Z');
const SENSORS = 12;
const SECONDS = 300;

const browserPath = findBrowser();
const title = "The page of npm start's stand-in for the cloud";
const suite = browserPath
  ? { describe, title }
  : {
      describe: describe.skip,
      title: `${title} (skipped: no Chromium or Chrome; name one by CHROMIUM_PATH)`,
    };

suite.describe(suite.title, () => {
  let cloud: Cloud;
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser(browserPath ?? '');
  });
  after(() => browser.close());
  beforeEach(async () => {
    cloud = await startCloud({ key: KEY });
  });
  afterEach(() => cloud.close());

  /** All sensors for five minutes, one post each time that it is called. */
  const post = async (part: number): Promise<void> => {
    const from = START + part * SECONDS * 1000;
    const iso = (second: number): string => new Date(from + second * 1000).toISOString();
    const readings = Array.from({ length: SECONDS }, (_, second) => ({
      timestamp: iso(second),
      value: Math.sin(second / 20),
    }));
    const data = Object.fromEntries(
      Array.from({ length: SENSORS }, (_, sensor) => [`K101.TAG_${10 + sensor}`, readings]),
    );
    const { status } = await fetch(cloud.url, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ start_time: iso(0), end_time: iso(SECONDS), data }),
    });
    assert.equal(status, 200);
  };
  const open = async (width: number): Promise<{ page: Page; complaints: string[] }> => {
    const page = await browser.newPage({ viewport: { width, height: 900 } });
    const complaints: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(cloud.pageUrl);
    return { page, complaints };
  };
  const total = (page: Page, name: string) =>
    page.locator('#totals div', { has: page.locator('dt', { hasText: name }) }).locator('dd');

  it('counts and plots each sensor, and goes on by itself', async () => {
    await post(0);
    const { page, complaints } = await open(1400);
    await page
      .locator('.sensor')
      .nth(SENSORS - 1)
      .waitFor();
    assert.equal(await page.locator('.sensor').count(), SENSORS);
    const [name, count] = [page.locator('.sensor .name').first(), page.locator('.sensor .foot').first()];
    assert.equal(await name.textContent(), 'K101.TAG_10');
    assert.match((await count.textContent()) ?? '', /300 readings$/);
    const drawn = await page
      .locator('.sensor canvas')
      .first()
      .evaluate((canvas: HTMLCanvasElement) => {
        const { data } = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height) ?? {};
        return data?.some((byte) => byte > 0);
      });
    assert.equal(drawn, true, 'a plot');
    await post(1);
    await total(page, 'Readings').filter({ hasText: '7,200' }).waitFor();
    await post(0);
    await total(page, 'Arrived again').filter({ hasText: '3,600' }).waitFor();
    await page.close();
    assert.deepEqual(complaints, []);
  });

  for (const width of [400, 1000, 1400, 1900]) {
    it(`clips no figure where the window is ${width} wide`, async () => {
      // As many readings as two days have, in no more bytes than a test may take.
      await post(0);
      const { page, complaints } = await open(width);
      await page.route('**/api/received', (route) =>
        route.fulfill({
          json: { ...cloud.received(), readings: 12_073_600, bytes: 107e9, duplicates: 2_073_600 },
        }),
      );
      await total(page, 'Readings').filter({ hasText: '12,073,600' }).waitFor();
      const clipped = await page
        .locator('#totals dt, #totals dd, .sensor .name, .sensor .value, .foot')
        .evaluateAll((elements) =>
          elements.filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent),
        );
      assert.deepEqual(clipped, []);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
      assert.equal(wider, false, 'the page scrolls sideways');
      await page.close();
      assert.deepEqual(complaints, []);
    });
  }
});
