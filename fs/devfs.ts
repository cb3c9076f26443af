/** The machine's own devices, by number: whatever node names them, the host's devices are never opened. And a /dev for roots that have none. */
import { EINVAL, ENOSPC, errno } from '../abi/errno.ts';
import { O_NONBLOCK } from '../abi/fcntl.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { deviceMajor, deviceMinor, makeDevice, S_IFCHR } from '../abi/stat.ts';
import { MemFileSystem, type MemVnode } from './memfs.ts';
import type { IoctlArgument, OpenFile, Vnode } from './vnode.ts';

export interface DeviceOptions {
  readonly random: (into: Uint8Array) => void;
  /** Opens the controlling terminal; undefined where there is none. */
  readonly openTerminal: (vnode: Vnode, flags: number) => OpenFile | undefined;
  /** Opens the terminal with this device number, where it is one of our standard streams. */
  readonly openTerminalNumber?: (vnode: Vnode, rdev: number, flags: number) => OpenFile | undefined;
  /** Makes a pty. */
  readonly openMaster?: (vnode: Vnode) => OpenFile;
}

const MEMORY_DEVICES = 1,
  TERMINALS = 5,
  FIRST_PTS = 136,
  LAST_PTS = 143;
const READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
const RNDGETENTCNT = 0x80045200;

/** How each device differs from /dev/null. */
interface Behaviour {
  readonly fill?: (into: Uint8Array) => void;
  readonly fresh?: boolean;
  readonly full?: boolean;
  readonly random?: boolean;
}

export class Devices {
  private readonly options: DeviceOptions;
  private readonly memory: ReadonlyMap<number, Behaviour>;

  constructor(options: DeviceOptions) {
    this.options = options;
    const zeros = (into: Uint8Array) => void into.fill(0);
    const random = { fill: options.random, random: true };
    this.memory = new Map<number, Behaviour>([
      [3, {}],
      [5, { fill: zeros, fresh: true }],
      [7, { fill: zeros, full: true }],
      [8, random],
      [9, random],
    ]);
  }

  /** The device of a node that is opened; undefined: there is none of this number (ENXIO). */
  open(vnode: Vnode, rdev: number, flags: number): OpenFile | undefined {
    if (vnode.kind !== 'character') return undefined;
    const major = deviceMajor(rdev);
    const minor = deviceMinor(rdev);
    if (major === MEMORY_DEVICES) {
      const behaviour = this.memory.get(minor);
      return behaviour && new MemoryDevice(vnode, behaviour);
    }
    if (major === TERMINALS && minor <= 1) return this.options.openTerminal(vnode, flags & ~O_NONBLOCK);
    if (major === TERMINALS && minor === 2) return this.options.openMaster?.(vnode);
    if (major >= FIRST_PTS && major <= LAST_PTS) return this.options.openTerminalNumber?.(vnode, rdev, flags & ~O_NONBLOCK);
    return undefined;
  }

  /** A directory with the usual nodes and links. */
  directory(now_ns: () => bigint): MemVnode {
    const system = new MemFileSystem({ device: 5, now_ns, openSpecial: (vnode, rdev, flags) => this.open(vnode, rdev, flags) });
    const node = (name: string, major: number, minor: number) => system.root.mknod(name, S_IFCHR | 0o666, makeDevice(major, minor));
    node('null', 1, 3);
    node('zero', 1, 5);
    node('full', 1, 7);
    node('random', 1, 8);
    node('urandom', 1, 9);
    node('tty', 5, 0);
    node('ptmx', 5, 2);
    system.root.symlink('fd', '/proc/self/fd');
    system.root.symlink('stdin', '/proc/self/fd/0');
    system.root.symlink('stdout', '/proc/self/fd/1');
    system.root.symlink('stderr', '/proc/self/fd/2');
    return system.root;
  }
}

/** null, zero, full, random, urandom. */
class MemoryDevice implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = true;
  readonly stays = true;
  readonly mapsFresh: boolean;
  readonly discards: boolean;
  private readonly behaviour: Behaviour;

  constructor(vnode: Vnode, behaviour: Behaviour) {
    this.vnode = vnode;
    this.behaviour = behaviour;
    this.mapsFresh = behaviour.fresh === true;
    this.discards = behaviour.random !== true;
  }

  read(into: Uint8Array): number {
    if (this.behaviour.fill === undefined) return 0;
    this.behaviour.fill(into);
    return into.length;
  }

  write(from: Uint8Array): number {
    if (this.behaviour.full) throw errno(ENOSPC);
    return from.length;
  }

  size(): number {
    return 0;
  }

  poll(): number {
    return READY;
  }

  truncate(): void {
    throw errno(EINVAL);
  }

  ioctl(request: number, argument: IoctlArgument): number | undefined {
    if (!this.behaviour.random || request >>> 0 !== RNDGETENTCNT) return undefined;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, 256, true);
    argument.bytesOut(bytes);
    return 0;
  }

  close(): void {}
}
