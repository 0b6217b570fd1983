/** The Node-RED editor in a browser, handled as its user does: by its dialogs, fields and buttons. */
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';

export type Theme = 'light' | 'dark';

/** Long for anything in an editor; shorter than a test may take, so that what was missing is said. */
const PATIENCE_MS = 15_000;

interface WindowSize {
  readonly width?: number;
  readonly height?: number;
}

interface PageOptions {
  readonly theme?: Theme;
  /** What the browser's clock says, for pictures that are the same each time. */
  readonly now?: string;
}

export class EditorPage {
  /** What the browser has complained of: an error in a dialog's script shows nowhere else. */
  readonly complaints: string[] = [];

  /** What the pages opened in it share is the browser's cache: each loads the editor in a part of the time. */
  static async context(
    browser: Browser,
    { width = 1280, height = 1000 }: WindowSize = {},
  ): Promise<BrowserContext> {
    const context = await browser.newContext({
      viewport: { width, height },
      locale: 'en-US',
      timezoneId: 'UTC',
      deviceScaleFactor: 1,
    });
    context.setDefaultTimeout(PATIENCE_MS);
    return context;
  }

  static async open(
    context: BrowserContext,
    url: string,
    { theme = 'light', now }: PageOptions = {},
  ): Promise<EditorPage> {
    const page = await context.newPage();
    if (now !== undefined) await page.clock.setFixedTime(now);
    const editor = new EditorPage(page);
    await editor.#load(url);
    if (theme === 'dark') {
      await page.evaluate(`RED.settings.setLocal('view-dark-theme', 'dark')`);
      await editor.#load(url);
    }
    return editor;
  }

  private constructor(readonly page: Page) {
    page.on('pageerror', (error) => {
      // Node-RED 4.1 takes its code editor down while that is still at work; its own nodes meet this too.
      if (!error.message.startsWith('Model is disposed!')) this.complaints.push(error.stack ?? error.message);
    });
    page.on('console', (message) => {
      // What cannot be fetched from elsewhere (the palette's catalogue) is no fault of the dialogs.
      const elsewhere = /Failed to load resource|Error loading catalog/.test(message.text());
      if (message.type() === 'error' && !elsewhere) this.complaints.push(message.text());
    });
  }

  async #load(url: string): Promise<void> {
    await this.page.goto(url);
    // The flows are loaded last, under a cover that is taken away then.
    await this.page.locator('.red-ui-flow-node').first().waitFor();
    await this.page.waitForFunction(`!$('#red-ui-loading-progress').is(':visible')`);
  }

  close(): Promise<void> {
    return this.page.close();
  }

  /** A part of the window, with nothing moving in it. */
  async picture(path: string, clip: { x: number; y: number; width: number; height: number }): Promise<void> {
    await this.page.mouse.move(0, 0);
    await this.page.screenshot({ path, clip, animations: 'disabled', caret: 'hide' });
  }

  /** Opens a node's dialog. */
  async edit(id: string): Promise<Dialog> {
    await this.page.evaluate(`RED.editor.edit(RED.nodes.node(${JSON.stringify(id)}))`);
    return this.#dialog('node-input', '#node-dialog-ok', '#node-dialog-cancel');
  }

  async editConfig(type: string, id: string): Promise<Dialog> {
    await this.page.evaluate(`RED.editor.editConfig('', ${JSON.stringify(type)}, ${JSON.stringify(id)})`);
    return this.#dialog('node-config-input', '#node-config-dialog-ok', '#node-config-dialog-cancel');
  }

  async #dialog(prefix: string, ok: string, cancel: string): Promise<Dialog> {
    const dialog = new Dialog(this.page, prefix, ok, cancel);
    await dialog.settled();
    return dialog;
  }

  /** Presses Deploy, and waits until the runtime has taken it. */
  async deploy(): Promise<void> {
    const answered = this.page.waitForResponse(
      (response) => response.url().endsWith('/flows') && response.request().method() === 'POST',
    );
    await this.page.locator('#red-ui-header-button-deploy').click();
    // Where a node is not valid the editor asks first.
    await answered;
  }

  /** Whether there is something to deploy. */
  get changed(): Promise<boolean> {
    return this.page.evaluate(`RED.nodes.dirty()`);
  }

  /** As the editor holds it, deployed or not. */
  setting(id: string, name: string): Promise<unknown> {
    return this.page.evaluate(`RED.nodes.node(${JSON.stringify(id)})[${JSON.stringify(name)}]`);
  }

  /** Why a node's triangle is shown on the canvas. */
  problems(id: string): Promise<string[]> {
    return this.page.evaluate(`RED.nodes.node(${JSON.stringify(id)}).validationErrors`);
  }
}

export class Dialog {
  constructor(
    private readonly page: Page,
    private readonly prefix: string,
    private readonly ok: string,
    private readonly cancelButton: string,
  ) {}

  /** The whole of it, as it lies over the workspace. */
  get tray(): Locator {
    return this.page.locator('.red-ui-tray').last();
  }

  get header(): Locator {
    return this.tray.locator('.red-ui-tray-header');
  }

  /** What the nodes of this package put into it. */
  get form(): Locator {
    return this.tray.locator('.tm-form');
  }

  field(name: string): Locator {
    return this.page.locator(`#${this.prefix}-${name}`);
  }

  /** Resolves when it has slid in and lies still. */
  async settled(): Promise<void> {
    await this.page.locator(this.ok).waitFor();
    await this.page.waitForFunction(`getComputedStyle($('.red-ui-tray').last()[0]).right === '0px'`);
    // Node-RED gives it its last size with the focus.
    await this.page.waitForFunction(`$('.red-ui-tray').last().find(':focus').length > 0`);
    await (await this.tray.elementHandle()).waitForElementState('stable');
  }

  /** Texts that stand there by their keys, for the catalog lacks them, and places without a text. */
  untranslated(): Promise<string[]> {
    return this.page
      .evaluate(`$('.red-ui-tray').last().find('.tm-form [data-i18n]').get().flatMap((element) => {
      const [, attribute, key] = /^(?:\\[(\\w+)\\])?(.*)$/.exec(element.dataset.i18n);
      const text = attribute === 'placeholder' ? element.placeholder : element.textContent;
      return text === '' || text === key.split(':').pop() ? [key] : [];
    })`);
  }

  async fill(name: string, value: string): Promise<void> {
    const field = this.field(name);
    await field.fill(value);
    // Validators run when the field is left, too.
    await field.blur();
  }

  async choose(name: string, value: string): Promise<void> {
    await this.field(name).selectOption(value);
  }

  /** Chooses the last entry of a list of choices, and names the variable. */
  async chooseVariable(name: string, variable: string): Promise<void> {
    await this.field(name).selectOption('${}');
    const field = this.tray.locator(`#${this.prefix}-${name} + .tm-variable`);
    await field.fill(variable);
    await field.blur();
  }

  async showTab(id: string): Promise<void> {
    await this.page.locator(`a[href="#${id}"]`).click();
  }

  /** Whether a field is marked as wrong. */
  async isWrong(name: string): Promise<boolean> {
    return ((await this.field(name).getAttribute('class')) ?? '').split(' ').includes('input-error');
  }

  /** What the editor shows when the pointer rests on a field that is wrong; here without the delay before it. */
  async reason(name: string): Promise<string> {
    const tooltip = `$('#${this.prefix}-${name}').data('tooltip')`;
    await this.page.evaluate(`void ${tooltip}.open(true)`);
    const text = await this.page.locator('.red-ui-popover-content').last().innerText();
    await this.page.evaluate(`void ${tooltip}.close(true)`);
    return text;
  }

  /** Presses a button of tm-config. @returns the answer that is shown */
  async test(what: 'database' | 'endpoint' | 'broker'): Promise<string> {
    await this.page.locator(`#tm-config-test-${what}`).click();
    const answer = this.page.locator(`#tm-config-answer-${what}`);
    await answer.locator('.fa-check-circle, .fa-times-circle').waitFor();
    return (await answer.innerText()).trim();
  }

  async save(): Promise<void> {
    await this.#closeBy(this.ok);
  }

  async cancel(): Promise<void> {
    await this.#closeBy(this.cancelButton);
  }

  async #closeBy(button: string): Promise<void> {
    const tray = await this.tray.elementHandle();
    await this.page.locator(button).click();
    await tray.waitForElementState('hidden');
  }
}
