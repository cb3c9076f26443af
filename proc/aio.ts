/**
 * Contexts of asynchronous input and output. What can be done is done when it is submitted, as Linux does it for most files; only waiting for readiness
 * (IOCB_CMD_POLL) goes on afterwards. Events stay here until io_getevents takes them.
 */
import type { IoEvent } from '../abi/aio.ts';
import type { AddressSpace } from '../mm/space.ts';
import { Waiters } from '../fs/wait.ts';

/** Linux's fs.aio-max-nr, here for each address space. */
const MOST = 65_536;

export interface AioPoll {
  /** Address of its iocb. */
  readonly iocb: number;
  /** Waits no longer. */
  end: () => void;
}

export class AioContext {
  /** How many submissions may be under way or not yet taken. */
  readonly capacity: number;
  /** Of the mapped ring, in bytes. */
  readonly size: number;
  readonly events: IoEvent[] = [];
  readonly changes: Waiters = new Waiters();
  /** What waits for readiness. One iocb may be submitted several times. */
  readonly polls: Set<AioPoll> = new Set();

  constructor(capacity: number, size: number) {
    this.capacity = capacity;
    this.size = size;
  }

  get full(): boolean {
    return this.events.length + this.polls.size >= this.capacity;
  }

  complete(event: IoEvent): void {
    this.events.push(event);
    this.changes.wakeAll();
  }
}

/** Of all address spaces; what belongs to one goes with it. */
export class AioContexts {
  private readonly spaces: WeakMap<AddressSpace, Map<number, AioContext>> = new WeakMap();

  of(space: AddressSpace, id: number): AioContext | undefined {
    return this.spaces.get(space)?.get(id);
  }

  /** Whether there is room for so many events more. */
  hasRoom(space: AddressSpace, capacity: number): boolean {
    let used = capacity;
    for (const context of this.spaces.get(space)?.values() ?? []) used += context.capacity;
    return used <= MOST;
  }

  add(space: AddressSpace, id: number, context: AioContext): void {
    let contexts = this.spaces.get(space);
    if (contexts === undefined) this.spaces.set(space, (contexts = new Map()));
    contexts.set(id, context);
  }

  /** Ends what is under way; those who wait for events look again, and find no context. */
  remove(space: AddressSpace, id: number): boolean {
    const context = this.of(space, id);
    if (context === undefined) return false;
    this.spaces.get(space)?.delete(id);
    for (const { end } of context.polls) end();
    context.changes.wakeAll();
    return true;
  }
}
