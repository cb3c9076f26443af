/** Puts a machine's files together: the host directory that is the guest's root, our /proc and devices, standard streams, pipes and memory files. */
import type { PageCache } from '../mm/cache.ts';
import { MemoryObject } from '../mm/object.ts';
import { ZeroPager } from '../mm/pager.ts';
import { F_SEAL_SEAL, O_DIRECT, O_LARGEFILE, O_RDWR } from '../abi/fcntl.ts';
import { Description } from './description.ts';
import { Devices } from './devfs.ts';
import { Fifos } from './fifo.ts';
import { openHostFifo } from './host-fifo.ts';
import { FileHandles } from './handles.ts';
import { HostFileSystem } from './host-tree.ts';
import * as host from './hostfs.ts';
import { Leases } from './leases.ts';
import { LockTable } from './locks.ts';
import { MemFileSystem } from './memfs.ts';
import { MountTable, type TmpfsOptions } from './mount-table.ts';
import { type Mount, mount } from './mounts.ts';
import { type Change, OverlayFileSystem, type OverlayOptions } from './overlay.ts';
import { PosixQueues } from './mqueue.ts';
import { QueueDirectory } from './mqueue-tree.ts';
import type { HostNetwork } from './network.ts';
import { DirectoryPlace, Tree } from './path.ts';
import { PipeVnode } from './pipe.ts';
import type { TarSource } from './tar.ts';
import { tarTree } from './tar-tree.ts';
import { type ProcSource, procRoot } from './procfs.ts';
import type { LocalSocket } from './socket.ts';
import { SocketNames } from './socket-names.ts';
import { HostStreams } from './streams.ts';
import { PtyTable } from './pty.ts';
import { type JobControl, NO_JOBS, type TerminalPort } from './tty.ts';
import type { OpenFile, Vnode } from './vnode.ts';
import { Watches } from './watches.ts';

/** What the maker of a root file system is given. */
export interface RootServices {
  readonly now_ns: () => bigint;
  readonly owner: { readonly uid: number; readonly gid: number };
  /** A new, empty file system in memory: files are pages like any others, within the machine's limit. */
  memory(): MemFileSystem;
  /** Where pages of files are kept that come from elsewhere, by a key of each file. */
  readonly cache: PageCache<string>;
  /** A device number for a file system of its own. */
  device(): number;
  /** Opens device nodes and fifos that the file system holds. */
  readonly openSpecial: OverlayOptions['openSpecial'];
}

/** Makes the directory that becomes the guest's `/`: memory, an archive, anything that is a tree of vnodes. */
export type RootMaker = (services: RootServices) => Vnode;

/** An empty root, in memory. */
export const memoryRoot: RootMaker = ({ memory }) => memory().root;

/** A tar archive as a read-only root: its bytes, or a source that reads them where they are. Throws TarError when the machine is made. */
export function tarRoot(archive: Uint8Array | TarSource): RootMaker {
  const source = archive instanceof Uint8Array ? bytesSource(archive) : archive;
  return ({ cache, device, openSpecial, memory }) => {
    const root = tarTree({ source, cache, device: device(), openSpecial });
    return new OverlayFileSystem(root, { memory: memory(), readOnly: true, openSpecial }).root;
  };
}

function bytesSource(bytes: Uint8Array): TarSource {
  return {
    size: bytes.length,
    read: (into, position) => {
      const part = bytes.subarray(position, position + into.length);
      into.set(part);
      return part.length;
    },
  };
}

export interface GuestFilesOptions {
  /** Host directory that becomes the guest's `/` ('/' for the host's own files), or what makes another root. */
  readonly root: string | RootMaker;
  readonly cache: PageCache<string>;
  /** Wall-clock nanoseconds since 1970. */
  readonly now_ns: () => bigint;
  /** Nanoseconds that only grow. */
  readonly monotonic_ns?: () => bigint;
  readonly random: (into: Uint8Array) => void;
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly terminal?: TerminalPort;
  /** The host's numbers and times of the standard streams are not shown. */
  readonly isRepeatable?: boolean;
  /** Changes below the root stay in memory. */
  readonly overlay?: boolean;
  readonly mounts?: readonly Mount[];
  /** What is beyond the machine's loopback; absent: nothing. */
  readonly network?: HostNetwork;
  /** Told of what is lost at the end, in a line for people. */
  readonly warn?: (text: string) => void;
}

/** What system calls need beyond the tree: files without a place, and what all files of a machine share. */
export interface FileServices {
  readonly locks: LockTable;
  /** Who watches which file (inotify). */
  readonly watches: Watches;
  /** POSIX message queues. */
  readonly queues: PosixQueues;
  /** Who is bound to which name or port. */
  readonly sockets: SocketNames<LocalSocket>;
  /** Files by handle. */
  readonly handles: FileHandles;
  /** Leases on files. */
  readonly leases: Leases;
  /** For a file without a place: a number that no other such file has. */
  nextInode(): bigint;
  /** A session's leader has ended: its terminal is nobody's any more. */
  sessionOver?(session: number): void;
  /** A session's controlling terminal: its device number, and the process group that may read. */
  terminalOf?(session: number): { readonly rdev: number; readonly foreground: number } | undefined;
  /** What guests mount; absent where they may not. */
  readonly mounts?: MountTable;
  pipe(
    flags: number,
    owner?: { readonly uid: number; readonly gid: number },
  ): { readonly reader: Description; readonly writer: Description };
  /** memfd_create: a file of memory without a place. */
  memoryFile(name: string, mode?: number, seals?: number): Description;
  /** sync(2): dirty pages of all files go to the host. Returns an errno where that failed. */
  sync(): number | undefined;
}

/** Beyond this part of the machine's frames memory files are full, so that something is left to run in. */
const MEMORY_FILE_SHARE = 0.75;
/** Minor numbers of our memory file systems' devices. */
const MEMFD_DEVICE = 1,
  SHARED_MEMORY_DEVICE = 24,
  FIRST_MOUNT_DEVICE = 40;

export class GuestFiles implements FileServices {
  readonly tree: Tree;
  readonly host: HostFileSystem;
  readonly streams: HostStreams;
  readonly locks: LockTable = new LockTable();
  readonly watches: Watches = new Watches();
  readonly queues: PosixQueues = new PosixQueues();
  readonly sockets: SocketNames<LocalSocket> = new SocketNames();
  readonly handles: FileHandles = new FileHandles();
  readonly leases: Leases = new Leases();
  readonly ptys: PtyTable;
  readonly mounts: MountTable;
  /** Roots of the machine's own file systems, by type. */
  private readonly ownRoots: Map<string, Vnode> = new Map();
  /** Sessions and process groups, once there are processes. */
  jobs: JobControl = NO_JOBS;
  /** Files whose changes stay in memory, by where they are mounted. */
  private readonly overlays: Map<string, OverlayFileSystem> = new Map();
  private readonly fifos: Fifos = new Fifos();
  private nextDevice = FIRST_MOUNT_DEVICE;
  private readonly options: GuestFilesOptions;
  private readonly memory: MemFileSystem;
  private pipes = 0n;

  constructor(options: GuestFilesOptions) {
    this.options = options;
    this.sockets.network = options.network;
    this.ptys = new PtyTable({ jobs: () => this.jobs, monotonic_ns: options.monotonic_ns ?? options.now_ns, now_ns: options.now_ns });
    const devices = new Devices({
      random: options.random,
      openTerminal: (vnode, flags) => this.openControlling(vnode, flags),
      openTerminalNumber: (vnode, rdev, flags) => this.ptys.openSlave(vnode, rdev, flags) ?? this.streams.openTerminal(flags, rdev),
      openMaster: (vnode) => this.ptys.openMaster(vnode),
    });
    this.host = new HostFileSystem(typeof options.root === 'string' ? options.root : undefined, {
      cache: options.cache,
      openDevice: (vnode, rdev, flags) => devices.open(vnode, rdev, flags),
      openFifo: (vnode, path, flags, isOwn) => (isOwn ? this.fifos.open(vnode, flags) : openHostFifo(vnode, path, flags)),
    });
    const fixed_ns = options.isRepeatable ? options.now_ns() : undefined;
    this.streams = new HostStreams({ terminal: options.terminal, files: this.host, jobs: () => this.jobs, fixed_ns });
    const openSpecial: OverlayOptions['openSpecial'] = (vnode, rdev, flags) =>
      vnode.kind === 'fifo' ? this.fifos.open(vnode, flags) : devices.open(vnode, rdev, flags);
    const memory = (): MemFileSystem => this.memoryFileSystem(this.nextDevice++, openSpecial);
    const { root, now_ns, owner } = options;
    const bottom =
      typeof root === 'string'
        ? this.host.root
        : root({ now_ns, owner, memory, openSpecial, cache: options.cache, device: () => this.nextDevice++ });
    if (options.overlay) this.overlays.set('/', new OverlayFileSystem(bottom, { memory: memory(), openSpecial }));
    this.tree = new Tree(this.overlays.get('/')?.root ?? bottom, () => this.host.forgetSeen(), owner);
    const memoryWith = (limits?: TmpfsOptions): MemFileSystem => this.memoryFileSystem(this.nextDevice++, openSpecial, limits);
    this.mounts = new MountTable({ tree: this.tree, memory: memoryWith, openSpecial, machineRoot: (type) => this.ownRoots.get(type) });
    this.ownRoots.set('devpts', this.ptys.root);
    this.addDevices(devices);
    this.addTerminals();
    this.addQueues();
    this.memory = this.memoryFileSystem(MEMFD_DEVICE);
    if (options.root !== '/') this.mountSharedMemory();
    for (const each of options.mounts ?? []) {
      const overlay = mount({ tree: this.tree, host: this.host, memory, openSpecial }, each);
      if (overlay !== undefined) this.overlays.set(each.target, overlay);
    }
  }

  /** A file system whose files are pages like any others: read, written, mapped, cut and sealed. */
  private memoryFileSystem(device: number, openSpecial?: OverlayOptions['openSpecial'], limits?: TmpfsOptions): MemFileSystem {
    const { cache, now_ns, owner } = this.options;
    const { frames } = cache;
    return new MemFileSystem({
      device,
      now_ns,
      ...owner,
      bytes: limits?.bytes,
      inodes: limits?.inodes,
      openSpecial,
      mayGrow: () => frames.inUse < frames.limit * MEMORY_FILE_SHARE,
      pages: (name, identity) => new MemoryObject({ frames, pager: new ZeroPager(name, identity), size: 0 }),
    });
  }

  /** /dev/shm, where shm_open makes its files. A guest that has the host's own files has the host's /dev/shm. */
  private mountSharedMemory(): void {
    const { root } = this.memoryFileSystem(SHARED_MEMORY_DEVICE);
    root.chmod(0o1777);
    const devices = this.tree.child(this.tree.root, 'dev');
    if (devices instanceof DirectoryPlace) this.tree.mount(devices, 'shm', root);
  }

  /** /dev as the root has it, with our nodes where it lacks them. */
  private addDevices(devices: Devices): void {
    const ours = devices.directory(this.options.now_ns);
    const theirs = this.tree.child(this.tree.root, 'dev');
    if (!(theirs instanceof DirectoryPlace)) {
      this.tree.mount(this.tree.root, 'dev', ours);
      return;
    }
    theirs.uses++;
    for (const name of ours.names()) {
      const node = ours.entry(name);
      if (node !== undefined) theirs.fallbacks.set(name, node);
    }
  }

  /** /dev/pts: our ptys, and the host's terminals that we were given. */
  private addTerminals(): void {
    const dev = this.tree.child(this.tree.root, 'dev');
    if (!(dev instanceof DirectoryPlace)) return;
    const pts = this.tree.mount(dev, 'pts', this.ptys.root);
    for (const [number, vnode] of this.streams.terminalNodes()) {
      this.ptys.reserved.add(number);
      pts.fallbacks.set(String(number), vnode);
    }
  }

  /** /dev/mqueue, where the root has such a directory. */
  private addQueues(): void {
    const queues = new QueueDirectory(this.queues, this.options.now_ns);
    this.ownRoots.set('mqueue', queues);
    const dev = this.tree.child(this.tree.root, 'dev');
    const at = dev instanceof DirectoryPlace ? this.tree.child(dev, 'mqueue') : undefined;
    if (dev instanceof DirectoryPlace && at?.vnode.kind === 'directory') this.tree.mount(dev, 'mqueue', queues);
  }

  /** /dev/tty: the terminal of the caller's session; the first process's is the host's. */
  private openControlling(vnode: Vnode, flags: number): OpenFile | undefined {
    const session = this.jobs.caller()?.session ?? 0;
    const pty = this.ptys.openControlling(vnode, session, flags);
    if (pty !== undefined) return pty;
    return session === 0 || this.streams.terminal?.session === session ? this.streams.openTerminal(flags) : undefined;
  }

  /** Every change that stays in memory, by its path in the guest. */
  changes(): Change[] {
    return [...this.overlays].flatMap(([target, overlay]) =>
      overlay
        .changes()
        .map((change) => ({ ...change, path: target === '/' ? change.path : `${target}${change.path === '/' ? '' : change.path}` })),
    );
  }

  /** A session's leader has ended: its terminal is nobody's any more. */
  sessionOver(session: number): void {
    this.ptys.sessionOver(session);
  }

  terminalOf(session: number): { readonly rdev: number; readonly foreground: number } | undefined {
    const pty = this.ptys.terminalOf(session);
    if (pty !== undefined) return { rdev: pty.rdev, foreground: pty.terminal.foreground };
    const { terminal } = this.streams;
    if (terminal === undefined || (session !== 0 && terminal.session !== session)) return undefined;
    const [node] = this.streams.terminalNodes();
    return node && { rdev: node[1].stat().rdev, foreground: terminal.foreground };
  }

  /** Shows processes under /proc; whatever the root has there is hidden. */
  mountProc(source: ProcSource): void {
    const root = procRoot(source);
    this.ownRoots.set('proc', root);
    this.tree.mount(this.tree.root, 'proc', root);
  }

  /** Shows what the machine is made of under /sys, where the root has such a directory. */
  mountSys(root: Vnode): void {
    this.ownRoots.set('sysfs', root);
    if (this.tree.child(this.tree.root, 'sys')?.vnode.kind === 'directory') this.tree.mount(this.tree.root, 'sys', root);
  }

  nextInode(): bigint {
    return ++this.pipes + 1000n;
  }

  /** A new pipe: its reading and its writing end, with these status flags. */
  pipe(flags: number, owner = this.options.owner): { readonly reader: Description; readonly writer: Description } {
    const vnode = new PipeVnode(this.nextInode(), this.options.now_ns(), owner);
    const end = (access: number, how: number) => new Description(vnode.open(access | how), vnode.place, access | how);
    return { reader: end(0, flags & ~O_DIRECT), writer: end(1, flags) };
  }

  memoryFile(name: string, mode = 0o777, seals = F_SEAL_SEAL): Description {
    const vnode = this.memory.file(mode);
    vnode.seals = seals;
    vnode.nlink = 0;
    const file = this.memory.openUnnamed(vnode);
    return new Description(file, { vnode, parent: undefined, name: `/memfd:${name} (deleted)` }, O_RDWR | O_LARGEFILE);
  }

  sync(): number | undefined {
    return this.host.writeBackAll();
  }

  /** The end of the machine: everything is written back, and our descriptors are closed. */
  close(): void {
    this.host.close();
    for (const { name, pages } of this.host.inodes.unsaved())
      this.options.warn?.(`${pages * 4} KiB of ${name} could not be written back and are lost`);
    this.streams.close();
  }
}

/** The user and group we run as. */
export function hostOwner(): { readonly uid: number; readonly gid: number } {
  return host.owner();
}
