/** /proc: which made-up file is where. What processes and the machine look like comes from a provider; the nodes are fs/proc-node.ts. */
import { EACCES, ENOENT, errno } from '../abi/errno.ts';
import { canRead, canWrite } from '../abi/fcntl.ts';
import type { Description } from './description.ts';
import { type Caller, type Listing, Maker, type Owner, type ProcFile } from './proc-node.ts';
import type { Place, Vnode } from './vnode.ts';

/** Where a magic link leads. */
export interface ProcJump {
  /** What readlink says. */
  readonly target: string;
  /** Where the walk goes on; undefined: nowhere (ENOENT). */
  readonly place: Place | undefined;
}

/** Made-up files by path (`stat`, `net/dev`): what they are, what a symbolic link says, or where a magic one leads. */
export interface ProcFiles {
  readonly names: readonly string[];
  file(path: string): ProcFile | ProcJump | string | undefined;
}

/** A process, or one thread of it, as /proc shows it. */
export interface ProcessView extends Owner {
  /** Files of /proc/PID, those of its fixed directories included. */
  readonly files: ProcFiles;
  /** The thread `tid` of it, as /proc/PID/task/TID shows it. */
  thread(tid: number): ProcessView | undefined;
  /** Whether the process whose call is running may look into this one's memory, descriptors and places (Linux ptrace_may_access). */
  mayInspect(): boolean;
  exe(): Place | undefined;
  cwd(): Place;
  root(): Place;
  /** A place's path as this process sees it. */
  pathOf(place: Place): string;
  /** Open descriptors, ascending. */
  fds(): Iterable<number>;
  description(fd: number): Description | undefined;
  /** /proc/PID/fdinfo/N. */
  descriptorInfo(fd: number): string | undefined;
  /** The mapped files, by range as `08048000-0804a000`, ascending. */
  mappedFiles(): Iterable<string>;
  mappedFile(range: string): ProcJump | undefined;
  /** Threads. */
  tids(): Iterable<number>;
}

export interface ProcSource {
  now_ns(): bigint;
  pids(): Iterable<number>;
  /** The process (and thread) that is making the running call. */
  caller(): Caller | undefined;
  process(pid: number): ProcessView | undefined;
  /** Files of /proc itself, `sys/kernel/ostype` and its like included. */
  readonly files: ProcFiles;
}

/** The root of a /proc. */
export function procRoot(source: ProcSource): Vnode {
  const make = new Maker(
    () => source.now_ns(),
    () => source.caller(),
  );
  const lookup = (name: string): Vnode | undefined => {
    if (name === 'self' || name === 'thread-self') {
      const self = source.caller();
      if (self === undefined) return undefined;
      return make.link(`/${name}`, { target: () => (name === 'self' ? `${self.pid}` : `${self.pid}/task/${self.tid}`) });
    }
    if (/^[1-9]\d{0,9}$/.test(name)) return processDirectory(make, source.process(Number(name)), `/${name}`);
    return fixed(make, source.files, '', name);
  };
  const names = function* (): Generator<string> {
    yield* topNames(source.files.names, '');
    yield* ['self', 'thread-self'];
    for (const pid of source.pids()) yield String(pid);
  };
  return make.directory('', { names, lookup });
}

/** Files and directories that `files` names, below `at`. */
function fixed(make: Maker, files: ProcFiles, at: string, path: string, owner?: Owner): Vnode | undefined {
  const found = files.file(path);
  if (typeof found === 'string') return make.link(`${at}/${path}`, { target: () => found, owner });
  if (found !== undefined && 'target' in found)
    return make.link(`${at}/${path}`, { target: () => found.target, follow: () => found.place, owner });
  if (found !== undefined) return make.file(`${at}/${path}`, found, owner);
  const below = `${path}/`;
  if (!files.names.some((name) => name.startsWith(below))) return undefined;
  const list: Listing = { names: () => topNames(files.names, below), lookup: (name) => fixed(make, files, at, below + name, owner) };
  return make.directory(`${at}/${path}`, list, owner);
}

/** First components of those paths that begin with `prefix`, behind it. */
function topNames(paths: readonly string[], prefix: string): Set<string> {
  return new Set(paths.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length).split('/', 1)[0]));
}

const PROCESS_LINKS = ['cwd', 'exe', 'root'];
const PROCESS_DIRECTORIES = ['fd', 'fdinfo', 'map_files', 'task'];
/** /proc/PID/task/TID lacks these and has `children` besides. */
const NOT_OF_THREADS: ReadonlySet<string> = new Set([
  'task',
  'map_files',
  'autogroup',
  'coredump_filter',
  'mountstats',
  'timers',
  'timerslack_ns',
]);
const OF_THREADS: ReadonlySet<string> = new Set(['children']);

function processDirectory(make: Maker, view: ProcessView | undefined, path: string, isTask = false): Vnode | undefined {
  if (view === undefined) return undefined;
  const has = (name: string): boolean => !(isTask ? NOT_OF_THREADS : OF_THREADS).has(name);
  const lookup = (name: string): Vnode | undefined => {
    const at = `${path}/${name}`;
    if (!has(name)) return undefined;
    switch (name) {
      case 'cwd':
        return jump(make, at, view, () => view.cwd());
      case 'root':
        return jump(make, at, view, () => view.root());
      case 'exe':
        return jump(make, at, view, () => view.exe());
      case 'fd':
        return descriptorDirectory(make, at, view, (fd) => descriptorLink(make, `${at}/${fd}`, view, fd), 0o500);
      case 'fdinfo':
        return descriptorDirectory(make, at, view, (fd) => descriptorInfo(make, `${at}/${fd}`, view, fd), 0o555);
      case 'map_files':
        return mapDirectory(make, at, view);
      case 'task':
        return taskDirectory(make, at, view);
      default:
        return fixed(make, view.files, path, name, view);
    }
  };
  const names = () => [...topNames(view.files.names, ''), ...PROCESS_LINKS, ...PROCESS_DIRECTORIES].filter(has);
  return make.directory(path, { names, lookup, process: isTask ? undefined : Number(path.slice(1)) }, view);
}

function demandInspection(view: ProcessView): void {
  if (!view.mayInspect()) throw errno(EACCES);
}

function jump(make: Maker, path: string, owner: ProcessView, to: () => Place | undefined): Vnode {
  const place = () => {
    demandInspection(owner);
    const found = to();
    if (found === undefined) throw errno(ENOENT);
    return found;
  };
  return make.link(path, { target: () => owner.pathOf(place()), follow: place, owner });
}

function taskDirectory(make: Maker, path: string, view: ProcessView): Vnode {
  const names = () => [...view.tids()].map(String);
  const lookup = (name: string) =>
    names().includes(name) ? processDirectory(make, view.thread(Number(name)), `${path}/${name}`, true) : undefined;
  return make.directory(path, { names, lookup }, view);
}

function descriptorDirectory(make: Maker, path: string, view: ProcessView, node: (fd: number) => Vnode, rights: number): Vnode {
  const names = () => {
    demandInspection(view);
    return [...view.fds()].map(String);
  };
  const lookup = (name: string) =>
    /^(0|[1-9]\d{0,9})$/.test(name) && view.description(Number(name)) !== undefined ? node(Number(name)) : undefined;
  return make.directory(path, { names, lookup }, view, rights);
}

/** /proc/PID/fd/N: its text is for people; following it reaches the open file itself, whatever its path has become. */
function descriptorLink(make: Maker, path: string, owner: ProcessView, fd: number): Vnode {
  const description = () => {
    demandInspection(owner);
    const found = owner.description(fd);
    if (found === undefined) throw errno(ENOENT);
    return found;
  };
  const { flags, isPathOnly } = description();
  const rights = isPathOnly ? 0 : (canRead(flags) ? 0o500 : 0) | (canWrite(flags) ? 0o300 : 0);
  const target = () => description().label ?? owner.pathOf(description().place);
  return make.link(path, { target, follow: () => description().reopenable, owner, rights });
}

function descriptorInfo(make: Maker, path: string, view: ProcessView, fd: number): Vnode {
  const text = () => {
    demandInspection(view);
    return view.descriptorInfo(fd);
  };
  return make.text(path, text, view);
}

/** /proc/PID/map_files/BASE-TOP: the files that are mapped there. */
function mapDirectory(make: Maker, path: string, view: ProcessView): Vnode {
  const names = () => {
    demandInspection(view);
    return view.mappedFiles();
  };
  const found = (range: string): ProcJump => {
    demandInspection(view);
    const mapped = view.mappedFile(range);
    if (mapped === undefined) throw errno(ENOENT);
    return mapped;
  };
  const lookup = (range: string) =>
    view.mappedFile(range) === undefined
      ? undefined
      : make.link(`${path}/${range}`, {
          target: () => found(range).target,
          follow: () => jumpTo(found(range)),
          owner: view,
          rights: 0o500,
        });
  return make.directory(path, { names, lookup }, view, 0o500);
}

function jumpTo({ place }: ProcJump): Place {
  if (place === undefined) throw errno(ENOENT);
  return place;
}
