/**
 * The database's own clock: asked, and reckoned by this machine's monotonic one in between. It may be set, so
 * what was asked long ago counts for little; and it may jump, so what no other clock has seen is not believed at
 * once: windows up to a time that has not come would be read empty and never again.
 */
const SKEW_SECONDS = 5;
const FRESH_FOR_MS = 60_000;
/** A clock that is put right by less than this is followed. */
const JUMP_SECONDS = 60;
/** A jump that lasts is no mistake. */
const JUMP_BELIEVED_MS = 900_000;

interface Asked {
  readonly clock: number;
  /** This machine's monotonic and wall clock then, in ms. */
  readonly at: number;
  readonly wall: number;
}

export class DatabaseClock {
  readonly #asking: () => Promise<number>;
  readonly #onWarning: (message: string) => void;
  #asked: Asked | undefined;
  /** The one that the time since says most for: a clock that was set back by mistake may be put right again. */
  #furthest: Asked | undefined;
  /** Process time (ms) since which it has been ahead of what it should be. */
  #jumpedAt: number | undefined;
  #skewSaid = false;

  /** @param ask seconds since 1970 with fraction. @param onWarning told when it is not what it should be */
  constructor(ask: () => Promise<number>, onWarning: (message: string) => void) {
    this.#asking = ask;
    this.#onWarning = onWarning;
  }

  /** As the database last named it, which no reckoning is ahead of. */
  get asked(): number | undefined {
    return this.#asked?.clock;
  }

  /** As it must be now, where it was not set. */
  get reckoned(): number | undefined {
    return this.#asked && reckonedFrom(this.#asked, { at: performance.now() });
  }

  get isFresh(): boolean {
    return this.#asked !== undefined && performance.now() - this.#asked.at <= FRESH_FOR_MS;
  }

  /** While it has jumped ahead, what it would be without that. @throws what the database throws */
  async ask(): Promise<number> {
    const told = await this.#asking();
    const now: Asked = { clock: told, at: performance.now(), wall: Date.now() };
    this.#noteSkew(now);
    if (this.#asked && told < reckonedFrom(this.#asked, now) - JUMP_SECONDS) {
      this.#onWarning(
        `The database's clock was set back by ${Math.round(reckonedFrom(this.#asked, now) - told)} s. Readings that are stamped with its time until it has caught up lie before the bookmark: set the bookmark back to have them sent.`,
      );
    }
    this.#asked = { ...now, clock: this.#believed(now) };
    if (!this.#furthest || this.#asked.clock > reckonedFrom(this.#furthest, now))
      this.#furthest = this.#asked;
    return this.#asked.clock;
  }

  #believed(now: Asked): number {
    if (!this.#furthest) return now.clock;
    const { clock, wall } = this.#furthest;
    // Where this machine slept, its wall clock has gone on and the monotonic one has not.
    const expected = Math.max(reckonedFrom(this.#furthest, now), clock + (now.wall - wall) / 1000);
    const ahead = now.clock - expected;
    const isSeenElsewhere = Math.abs(now.clock - now.wall / 1000) <= JUMP_SECONDS;
    if (ahead <= JUMP_SECONDS || isSeenElsewhere) {
      this.#jumpedAt = undefined;
      return now.clock;
    }
    if (this.#jumpedAt === undefined) {
      this.#onWarning(
        `The database's clock has jumped ahead by ${Math.round(ahead)} s. It is believed when that has lasted for ${JUMP_BELIEVED_MS / 60_000} min; until then windows end where they would without it.`,
      );
      this.#jumpedAt = now.at;
    }
    return now.at - this.#jumpedAt < JUMP_BELIEVED_MS ? expected : now.clock;
  }

  #noteSkew({ clock, wall }: Asked): void {
    const skew = clock - wall / 1000;
    const skewed = Math.abs(skew) > SKEW_SECONDS;
    if (skewed && !this.#skewSaid) {
      this.#onWarning(
        `The database's clock is ${Math.abs(skew).toFixed(1)} s ${skew > 0 ? 'ahead of' : 'behind'} this machine's. Windows follow the database's clock.`,
      );
    }
    this.#skewSaid = skewed;
  }
}

/** Seconds since 1970, by this machine's monotonic clock. */
function reckonedFrom(asked: Asked, { at }: Pick<Asked, 'at'>): number {
  return asked.clock + (at - asked.at) / 1000;
}
