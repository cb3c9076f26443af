/** Runs a machine while anybody waits for something in it, giving way to the host's other work: promises over the machine's slices. */
import type { Machine, Pause } from './machine.ts';

/** How long a machine keeps the host from its other work. */
const YIELD_EVERY_MS = 10;
/** How often inherited input is looked for: at first, and after a while. */
const LOOK_FIRST_MS = 1,
  LOOK_LAST_MS = 20;
const LONGEST_SLEEP_MS = 2 ** 31 - 1;
const NS_PER_MS = 1_000_000n;

interface Waiting {
  readonly until: () => boolean;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class Driver {
  private readonly core: Machine;
  private readonly step: () => Pause;
  private readonly elapsed_ms: () => number;
  private readonly waiting: Set<Waiting> = new Set();
  private driving = false;

  /** `step` runs one slice; `elapsed_ms` is the host's time, whatever the machine's clock says. */
  constructor(core: Machine, step: () => Pause, elapsed_ms: () => number) {
    this.core = core;
    this.step = step;
    this.elapsed_ms = elapsed_ms;
  }

  /** Resolves when `until` holds, which is looked at between slices; rejects with what `step` throws, and with what `stop` is given. */
  run(until: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.add({ until, resolve, reject });
      if (!this.driving) void this.drive();
      else this.core.kernel.scheduler.onChange();
    });
  }

  /** Nothing will run any more. */
  stop(reason: unknown): void {
    for (const { reject } of this.waiting) reject(reason);
    this.waiting.clear();
    this.core.kernel.scheduler.onChange();
  }

  private async drive(): Promise<void> {
    this.driving = true;
    try {
      let yielded_ms = this.elapsed_ms();
      for (this.settle(); this.waiting.size > 0; this.settle()) {
        const pause = this.step();
        this.settle();
        if (this.waiting.size === 0) break;
        if (pause.kind !== 'slice') await this.sleep(pause.kind === 'waiting' ? pause.deadline_ns : undefined);
        else if (this.elapsed_ms() - yielded_ms < YIELD_EVERY_MS) continue;
        else await turn();
        yielded_ms = this.elapsed_ms();
      }
    } catch (error) {
      this.stop(error);
    } finally {
      this.driving = false;
    }
  }

  private settle(): void {
    for (const each of this.waiting) {
      if (!each.until()) continue;
      this.waiting.delete(each);
      each.resolve();
    }
  }

  /** Until something may have become ready, or the time has come. Input of inherited streams is looked for now and then. */
  private async sleep(deadline_ns: bigint | undefined): Promise<void> {
    const { scheduler, clock } = this.core.kernel;
    let changed = false;
    let wake = (): void => {};
    scheduler.onChange = () => {
      changed = true;
      wake();
    };
    for (let look_ms = LOOK_FIRST_MS; !changed; look_ms = Math.min(look_ms * 1.1, LOOK_LAST_MS)) {
      const wantsInput = this.core.parts.files.streams?.idle(0) ?? false;
      const left_ms = deadline_ns === undefined ? LONGEST_SLEEP_MS : Number((deadline_ns - clock.monotonic() + NS_PER_MS - 1n) / NS_PER_MS);
      if (changed || left_ms <= 0) break;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left_ms, wantsInput ? look_ms : LONGEST_SLEEP_MS));
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wake = () => {};
    }
    scheduler.onChange = () => {};
  }
}

/** The host's event loop turns once. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve);
  });
}
