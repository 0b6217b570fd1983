/**
 * A node's status line: at most two changes a second, the last one always shown. The editor's queue of statuses
 * is unbounded, so a node that posts hundreds of batches a second must not report each.
 */
import type { Node, NodeStatus } from 'node-red';

const LEAST_PAUSE_MS = 500;

export class StatusLine {
  #shown = '';
  #shownAt = -Infinity;
  #next: NodeStatus | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly node: Node) {}

  show(status: NodeStatus): void {
    this.#next = status;
    if (this.#timer) return;
    const wait = this.#shownAt + LEAST_PAUSE_MS - performance.now();
    if (wait <= 0) this.#flush();
    else
      this.#timer = setTimeout(() => {
        this.#flush();
      }, wait).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #flush(): void {
    this.close();
    const status = this.#next;
    this.#next = undefined;
    if (!status) return;
    const text = JSON.stringify(status);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#shownAt = performance.now();
    this.node.status(status);
  }
}
