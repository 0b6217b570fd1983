/** A rejection that nobody handles ends a real Node-RED: here it fails the test in which it came up. */
const unhandled: unknown[] = [];
const note = (reason: unknown): void => {
  unhandled.push(reason);
};

export const mochaHooks = {
  beforeAll(): void {
    process.on('unhandledRejection', note);
  },
  afterEach(): void {
    const [first] = unhandled.splice(0);
    if (first !== undefined) throw new Error('A rejection was not handled.', { cause: first });
  },
  afterAll(): void {
    process.off('unhandledRejection', note);
  },
};
