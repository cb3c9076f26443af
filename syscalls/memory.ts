/** Memory calls: brk, mmap in both forms, munmap, mprotect, mremap, madvise, msync, mincore. The space does the work; here are files, flags and errors. */
import { CAP_SYS_RAWIO } from '../abi/capability.ts';
import { EACCES, EAGAIN, EBADF, EBUSY, EFAULT, EINVAL, ENODEV, ENOMEM, EOPNOTSUPP, EPERM, errno } from '../abi/errno.ts';
import { canRead, canWrite, F_SEAL_FUTURE_WRITE, F_SEAL_WRITE } from '../abi/fcntl.ts';
import * as mman from '../abi/mman.ts';
import { MS_NOEXEC } from '../abi/mount.ts';
import { PAGE_SIZE, pageUp, type Range } from '../abi/page.ts';
import { SIGKILL } from '../abi/signal.ts';
import { array, u32 } from '../abi/struct.ts';
import { Description } from '../fs/description.ts';
import { mountFlags } from '../fs/mount-table.ts';
import { pathOf } from '../fs/path.ts';
import {
  AREA_DONT_DUMP, AREA_DONT_FORK, AREA_HUGE_PAGES, AREA_LOCKED, AREA_MERGEABLE, AREA_NO_HUGE_PAGES, AREA_RANDOM_READ, AREA_SEQUENTIAL_READ, AREA_WIPE_ON_FORK,
  type Area,
} from '../mm/area.ts';
import { fault, populate } from '../mm/fault.ts';
import { freeLazily } from '../mm/lazy.ts';
import { USER_TOP } from '../mm/placement.ts';
import { remap } from '../mm/remap.ts';
import { type MapRequest, sharingOf } from '../mm/request.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { define, multiplexer } from './define.ts';
import { checkLock, mayLock, willLock } from './memory-lock.ts';
import { address, addressResult, choice, count, fd, flags, hex, loadAt, none, pointerIn, pointerOut, uint } from './kinds.ts';

const prot = flags({
  PROT_NONE: 0, PROT_READ: mman.PROT_READ, PROT_WRITE: mman.PROT_WRITE, PROT_EXEC: mman.PROT_EXEC, PROT_SEM: mman.PROT_SEM,
  PROT_GROWSDOWN: mman.PROT_GROWSDOWN, PROT_GROWSUP: mman.PROT_GROWSUP,
});
const mapFlags = flags(
  {
    MAP_FIXED: mman.MAP_FIXED, MAP_ANONYMOUS: mman.MAP_ANONYMOUS, MAP_32BIT: mman.MAP_32BIT, MAP_GROWSDOWN: mman.MAP_GROWSDOWN,
    MAP_DENYWRITE: mman.MAP_DENYWRITE, MAP_EXECUTABLE: mman.MAP_EXECUTABLE, MAP_LOCKED: mman.MAP_LOCKED, MAP_NORESERVE: mman.MAP_NORESERVE,
    MAP_POPULATE: mman.MAP_POPULATE, MAP_NONBLOCK: mman.MAP_NONBLOCK, MAP_STACK: mman.MAP_STACK, MAP_HUGETLB: mman.MAP_HUGETLB,
    MAP_SYNC: mman.MAP_SYNC, MAP_FIXED_NOREPLACE: mman.MAP_FIXED_NOREPLACE,
  },
  { mask: mman.MAP_TYPE, values: { MAP_SHARED: mman.MAP_SHARED, MAP_PRIVATE: mman.MAP_PRIVATE, MAP_SHARED_VALIDATE: mman.MAP_SHARED_VALIDATE } },
);
/** What MAP_SHARED_VALIDATE accepts for ordinary files. Linux: LEGACY_MAP_MASK. */
const LEGACY_FLAGS = mman.MAP_TYPE | mman.MAP_FIXED | mman.MAP_ANONYMOUS | mman.MAP_DENYWRITE | mman.MAP_EXECUTABLE | mman.MAP_UNINITIALIZED
  | mman.MAP_GROWSDOWN | mman.MAP_LOCKED | mman.MAP_NORESERVE | mman.MAP_POPULATE | mman.MAP_NONBLOCK | mman.MAP_STACK | mman.MAP_HUGETLB
  | mman.MAP_32BIT | mman.MAP_ABOVE4G | mman.MAP_HUGE_2MB | mman.MAP_HUGE_1GB;

const brk = define({
  name: 'brk', args: [['addr', address]], result: addressResult, support: 'full',
  handler: (task, top) => {
    const { space } = task;
    const before = space.brkTop;
    if (space.lockFuture !== 'no' && top > before && !mayLock(task, pageUp(top) - pageUp(before))) return before;
    const after = space.brk(top);
    if (space.lockFuture === 'present' && after > before) populate(space, pageUp(before), pageUp(after));
    return after;
  },
});

// ---- mmap ----------------------------------------------------------------------------------------------------------------------

const mmap2 = define({
  name: 'mmap2',
  args: [['addr', address], ['length', count], ['prot', prot], ['flags', mapFlags], ['fd', fd], ['pgoffset', hex]],
  result: addressResult, support: { partial: 'MAP_HUGETLB answers ENOMEM: there are no huge pages' },
  handler: (task, addr, length, rights, how, file, offset) => {
    const mapped = (how & mman.MAP_ANONYMOUS) === 0 ? task.files.get(file) : undefined;
    if (mapped?.isPathOnly === true) throw errno(EBADF);
    const locked = willLock(task, how);
    const flags = locked ? how | mman.MAP_LOCKED : how;
    // Asked when there is a place: what fits nowhere is refused for that.
    const check = () => checkLock(task, how, length);
    const request = { addr, size: length, prot: rights & (mman.PROT_ALL | mman.PROT_SEM), flags, check };
    task.space.mayMapLow = capable(task.credentials, CAP_SYS_RAWIO);
    const to = mapped === undefined ? mapAnonymous(task, request) : mapFile(task, request, mapped, offset);
    const present = locked ? task.space.lockFuture !== 'on fault' : (how & (mman.MAP_POPULATE | mman.MAP_NONBLOCK)) === mman.MAP_POPULATE;
    if (present) {
      // What cannot be had now comes when it is touched; mmap does not fail for it.
      populate(task.space, to, Math.min(to + pageUp(length), USER_TOP));
    }
    return to;
  },
});

/** Sizes of huge pages, as logarithms; 0 is the usual one. */
const HUGE_PAGES = [0, 21, 30];

function mapAnonymous(task: Task, request: MapRequest): number {
  if ((request.flags & mman.MAP_HUGETLB) !== 0) {
    const logarithm = (request.flags >>> mman.MAP_HUGE_SHIFT) & 63;
    throw errno(HUGE_PAGES.includes(logarithm) ? ENOMEM : EINVAL);
  }
  return task.space.map(request);
}

function mapFile(task: Task, request: MapRequest, description: Description, offset: number): number {
  const { size, prot: rights, flags: how } = request;
  if ((how & mman.MAP_HUGETLB) !== 0 || size === 0) throw errno(EINVAL);
  if (pageUp(size) > USER_TOP) throw errno(ENOMEM);
  const shared = (how & mman.MAP_TYPE) !== mman.MAP_PRIVATE;
  const fresh = description.file.mapsFresh === true;
  const object = description.file.memoryObject?.(pathOf(description.place, task.fs.root) ?? description.place.name);
  const sealed = shared && isSealed(description);
  const isNoExec = (mountFlags(description.place) & MS_NOEXEC) !== 0;
  const check = () => {
    request.check?.();
    sharingOf(how);
    if ((how & mman.MAP_TYPE) === mman.MAP_SHARED_VALIDATE && (how & ~LEGACY_FLAGS) !== 0) throw errno(EOPNOTSUPP);
    if (shared && (rights & mman.PROT_WRITE) !== 0 && !canWrite(description.flags)) throw errno(EACCES);
    if (!canRead(description.flags)) throw errno(EACCES);
    if (isNoExec && (rights & mman.PROT_EXEC) !== 0) throw errno(EPERM);
    if (object === undefined && !fresh) throw errno(ENODEV);
    if ((how & mman.MAP_GROWSDOWN) !== 0) throw errno(EINVAL);
    if (sealed && (rights & mman.PROT_WRITE) !== 0) throw errno(EPERM);
  };
  const isNoWrite = shared && (sealed || !canWrite(description.flags));
  const maxProt = mman.PROT_ALL & ~(isNoWrite ? mman.PROT_WRITE : 0) & ~(isNoExec ? mman.PROT_EXEC : 0);
  // Shared memory made so has the mapping's size, whatever part of the file is asked for (Linux shmem_zero_setup).
  if (fresh) return task.space.map({ ...request, offset, maxProt, check, file: shared ? undefined : description });
  return task.space.map({ ...request, object, offset, maxProt, check, file: description });
}

/** The arguments of the old mmap: one struct. */
const oldMmapArgs = array(u32, 6);
const oldMmap = multiplexer('mmap', [['arg', pointerIn]], (task, words) => {
  const args = loadAt(task, words[0], oldMmapArgs);
  if (args[5] % PAGE_SIZE !== 0) throw errno(EINVAL);
  words.set(args);
  words[5] = args[5] / PAGE_SIZE;
  return mmap2;
});

const munmap = define({
  name: 'munmap', args: [['addr', address], ['length', count]], result: none, support: 'full',
  handler: (task, addr, length) => task.space.unmap(addr, length),
});

const mprotect = define({
  name: 'mprotect', args: [['addr', address], ['len', count], ['prot', prot]], result: none, support: 'full',
  handler: (task, addr, length, rights) => task.space.protect(addr, length, rights),
});

const mremap = define({
  name: 'mremap',
  args: [
    ['old_address', address], ['old_size', count], ['new_size', count],
    ['flags', flags({ MREMAP_MAYMOVE: mman.MREMAP_MAYMOVE, MREMAP_FIXED: mman.MREMAP_FIXED, MREMAP_DONTUNMAP: mman.MREMAP_DONTUNMAP })],
    ['new_address', address],
  ],
  result: addressResult, support: 'full',
  handler: (task, addr, oldSize, newSize, how, newAddr) => remap(task.space, { addr, oldSize, newSize, flags: how, newAddr, mayLock: (bytes) => mayLock(task, bytes) }),
});

// ---- Advice, synchronisation, residence ----------------------------------------------------------------------------------------

const ADVICE = {
  MADV_NORMAL: mman.MADV_NORMAL, MADV_RANDOM: mman.MADV_RANDOM, MADV_SEQUENTIAL: mman.MADV_SEQUENTIAL, MADV_WILLNEED: mman.MADV_WILLNEED,
  MADV_DONTNEED: mman.MADV_DONTNEED, MADV_FREE: mman.MADV_FREE, MADV_REMOVE: mman.MADV_REMOVE, MADV_DONTFORK: mman.MADV_DONTFORK,
  MADV_DOFORK: mman.MADV_DOFORK, MADV_MERGEABLE: mman.MADV_MERGEABLE, MADV_UNMERGEABLE: mman.MADV_UNMERGEABLE,
  MADV_HUGEPAGE: mman.MADV_HUGEPAGE, MADV_NOHUGEPAGE: mman.MADV_NOHUGEPAGE, MADV_DONTDUMP: mman.MADV_DONTDUMP, MADV_DODUMP: mman.MADV_DODUMP,
  MADV_WIPEONFORK: mman.MADV_WIPEONFORK, MADV_KEEPONFORK: mman.MADV_KEEPONFORK, MADV_COLD: mman.MADV_COLD, MADV_PAGEOUT: mman.MADV_PAGEOUT,
  MADV_POPULATE_READ: mman.MADV_POPULATE_READ, MADV_POPULATE_WRITE: mman.MADV_POPULATE_WRITE,
  MADV_DONTNEED_LOCKED: mman.MADV_DONTNEED_LOCKED, MADV_COLLAPSE: mman.MADV_COLLAPSE,
};

const madvise = define({
  name: 'madvise', args: [['addr', address], ['length', count], ['advice', choice(ADVICE)]], result: none,
  support: { partial: 'COLLAPSE, GUARD_ and the poisoning advices answer EINVAL' },
  handler: advise,
});

/** madvise in the memory that `task` runs in. */
export function advise(task: Task, addr: number, length: number, advice: number): void {
  const act = adviceAction(advice);
  if (act === undefined || addr % PAGE_SIZE !== 0) throw errno(EINVAL);
  const size = pageUp(length);
  if (size === 0) return;
  // The kernel counts in 64 bits: what lies past the top is a hole.
  const range = { base: addr, top: addr + size };
  const stops = advice === mman.MADV_POPULATE_READ || advice === mman.MADV_POPULATE_WRITE;
  const holes = forAreas(task, range, (area, part, gap) => {
    if (stops && gap) throw errno(ENOMEM);
    act(task, area, part);
  });
  task.space.table.merge(range);
  if (holes) throw errno(ENOMEM);
}

/** Whether there is such advice. */
export function isAdvice(advice: number): boolean {
  return adviceAction(advice) !== undefined;
}

type Advice = (task: Task, area: Area, part: Range) => void;
const NOTHING: Advice = () => {};

/** Undefined where Linux (or we) know no such advice. */
function adviceAction(advice: number): Advice | undefined {
  switch (advice) {
    case mman.MADV_NORMAL: return changeFlags(AREA_RANDOM_READ | AREA_SEQUENTIAL_READ, 0);
    case mman.MADV_RANDOM: return changeFlags(AREA_SEQUENTIAL_READ, AREA_RANDOM_READ);
    case mman.MADV_SEQUENTIAL: return changeFlags(AREA_RANDOM_READ, AREA_SEQUENTIAL_READ);
    case mman.MADV_WILLNEED: return NOTHING;
    case mman.MADV_MERGEABLE: return (task, area, part) => {
      if (area.sharing === 'private' && area.name === '') changeFlags(0, AREA_MERGEABLE)(task, area, part);
    };
    case mman.MADV_UNMERGEABLE: return changeFlags(AREA_MERGEABLE, 0);
    case mman.MADV_HUGEPAGE: return changeFlags(AREA_NO_HUGE_PAGES, AREA_HUGE_PAGES);
    case mman.MADV_NOHUGEPAGE: return changeFlags(AREA_HUGE_PAGES, AREA_NO_HUGE_PAGES);
    case mman.MADV_COLLAPSE: return () => {
      throw errno(EINVAL);
    };
    case mman.MADV_COLD:
    case mman.MADV_PAGEOUT: return (_task, area) => refuseLocked(area);
    case mman.MADV_DONTNEED_LOCKED: return (task, _area, part) => task.space.discard(part);
    case mman.MADV_REMOVE: return (_task, area, part) => removePages(area, part);
    case mman.MADV_POPULATE_READ: return (task, area, part) => makePresent(task, area, part, 'read');
    case mman.MADV_POPULATE_WRITE: return (task, area, part) => makePresent(task, area, part, 'write');
    case mman.MADV_DONTNEED: return (task, area, part) => {
      refuseLocked(area);
      task.space.discard(part);
    };
    case mman.MADV_FREE: return (task, area, part) => {
      if (area.object !== undefined) throw errno(EINVAL);
      refuseLocked(area);
      freeLazily(task.space, part);
    };
    case mman.MADV_DONTFORK: return changeFlags(0, AREA_DONT_FORK);
    case mman.MADV_DOFORK: return changeFlags(AREA_DONT_FORK, 0);
    case mman.MADV_DONTDUMP: return changeFlags(0, AREA_DONT_DUMP);
    case mman.MADV_DODUMP: return changeFlags(AREA_DONT_DUMP, 0);
    case mman.MADV_WIPEONFORK: return (task, area, part) => {
      if (area.object !== undefined || area.file !== undefined) throw errno(EINVAL);
      changeFlags(0, AREA_WIPE_ON_FORK)(task, area, part);
    };
    case mman.MADV_KEEPONFORK: return changeFlags(AREA_WIPE_ON_FORK, 0);
    default: return undefined;
  }
}

/** Whether a memory file may not be written any more, or not through new mappings. */
export function isSealed(file: Area['file']): boolean {
  return file instanceof Description && ((file.vnode.seals ?? 0) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0;
}

/** A hole in the file, or in the shared memory, that is mapped there (Linux madvise_remove). */
function removePages(area: Area, part: Range): void {
  if ((area.flags & AREA_LOCKED) !== 0 || (area.object === undefined && area.file === undefined)) throw errno(EINVAL);
  if (area.object === undefined || area.sharing === 'private' || (area.maxProt & mman.PROT_WRITE) === 0) throw errno(EACCES);
  if (isSealed(area.file)) throw errno(EPERM);
  const base = (area.offset + (part.base - area.base) / PAGE_SIZE) * PAGE_SIZE;
  const failure = area.object.punch(base, base + (part.top - part.base));
  if (failure?.kind === 'error') throw errno(failure.errno);
}

/** For this call memory is readable only where it was asked to be, whatever the processor says (Linux check_vma_flags). */
function makePresent(task: Task, area: Area, part: Range, access: 'read' | 'write'): void {
  if ((area.prot & (access === 'write' ? mman.PROT_WRITE : mman.PROT_READ)) === 0) throw errno(EINVAL);
  for (let at = part.base; at < part.top; at += PAGE_SIZE) {
    if (task.space.mmu.translate(at, access === 'write' ? mman.PROT_WRITE : mman.PROT_READ) >= 0) continue;
    const outcome = fault(task.space, at, access);
    if (outcome.kind === 'wait') throw block(outcome.on);
    if (outcome.kind === 'signal') throw errno(outcome.signo === SIGKILL ? ENOMEM : EFAULT);
  }
}

function refuseLocked(area: Area): void {
  if ((area.flags & AREA_LOCKED) !== 0) throw errno(EINVAL);
}

/** Clears and sets flags of exactly the part of an area that is meant. */
function changeFlags(off: number, on: number): Advice {
  return (task, area, part) => {
    const flags = (area.flags & ~off) | on;
    if (area.flags === flags) return;
    const cuts = Number(part.base > area.base) + Number(part.top < area.top);
    if (task.space.areaCount + cuts > task.space.maxAreas) throw errno(EAGAIN);
    task.space.table.cutAt(part.base);
    task.space.table.cutAt(part.top);
    const exact = task.space.find(part.base);
    if (exact !== undefined) task.space.table.setFlags(exact, flags);
  };
}

/** Calls `act` for each area in `range`, ascending, with the part of it that lies there, and whether there was a hole before. Returns whether there were holes. */
function forAreas(task: Task, range: Range, act: (area: Area, part: Range, gap: boolean) => void): boolean {
  let holes = false;
  for (let at = range.base; at < range.top; ) {
    const area = task.space.find(at) ?? task.space.segments.findAreaAbove(at);
    if (area === undefined || area.base >= range.top) return true;
    if (area.base > at) holes = true;
    const part = { base: Math.max(area.base, at), top: Math.min(area.top, range.top) };
    at = part.top;
    act(area, part, holes);
  }
  return holes;
}

const msync = define({
  name: 'msync',
  args: [['addr', address], ['length', count], ['flags', flags({ MS_ASYNC: mman.MS_ASYNC, MS_INVALIDATE: mman.MS_INVALIDATE, MS_SYNC: mman.MS_SYNC })]],
  result: none, support: 'full',
  handler: (task, addr, length, how) => {
    const ALL = mman.MS_ASYNC | mman.MS_INVALIDATE | mman.MS_SYNC;
    if ((how & ~ALL) !== 0 || addr % PAGE_SIZE !== 0 || ((how & mman.MS_ASYNC) !== 0 && (how & mman.MS_SYNC) !== 0)) throw errno(EINVAL);
    const top = addr + pageUp(length);
    const holes = forAreas(task, { base: addr, top }, (area, part) => {
      if ((how & mman.MS_INVALIDATE) !== 0 && (area.flags & AREA_LOCKED) !== 0) throw errno(EBUSY);
      if ((how & mman.MS_INVALIDATE) !== 0) area.object?.invalidate();
      if ((how & mman.MS_SYNC) !== 0 && area.sharing === 'shared') writeBack(area, part);
    });
    if (holes) throw errno(ENOMEM);
  },
});

function writeBack(area: Area, part: Range): void {
  const first = area.offset + (part.base - area.base) / PAGE_SIZE;
  const last = first + (part.top - part.base) / PAGE_SIZE;
  if (area.file !== undefined) return area.file.writeBack(first, last);
  const failure = area.object?.writeBack(first, last);
  if (failure?.kind === 'wait') throw block(failure.on);
  if (failure?.kind === 'error') throw errno(failure.errno);
}

const mincore = define({
  name: 'mincore', args: [['addr', address], ['length', count], ['vec', pointerOut]], result: none, support: 'full',
  handler: (task, addr, length, vec) => {
    if (addr % PAGE_SIZE !== 0) throw errno(EINVAL);
    const top = addr + pageUp(length);
    let written = 0;
    const holes = forAreas(task, { base: addr, top }, (area, part) => {
      // Linux writes area by area, and finds a hole when it comes to it.
      if ((part.base - addr) / PAGE_SIZE !== written) throw errno(ENOMEM);
      const resident = new Uint8Array((part.top - part.base) / PAGE_SIZE);
      for (let i = 0; i < resident.length; i++) resident[i] = isResident(task, area, part.base + i * PAGE_SIZE) ? 1 : 0;
      task.user.write(vec + written, resident);
      written += resident.length;
    });
    if (holes) throw errno(ENOMEM);
  },
});

/** A negative frame number says that there is none. */
function isResident(task: Task, area: Area, at: number): boolean {
  if (task.space.mmu.translate(at, mman.PROT_READ) >= 0) return true;
  if (area.sharing === 'private' && task.space.copies.get(at / PAGE_SIZE) >= 0) return true;
  return area.object !== undefined && area.object.pages.get(area.offset + (at - area.base) / PAGE_SIZE) >= 0;
}

// ---- Protection keys --------------------------------------------------------------------------------------------------------------

/** Without protection keys it is mprotect, and takes only key -1. */
const pkeyMprotect = define({
    name: 'pkey_mprotect', args: [['addr', address], ['len', count], ['prot', prot], ['pkey', uint]], result: none, support: 'full',
    handler: (task, addr, length, rights, key) => {
      if (key !== 0xffffffff) throw errno(EINVAL);
      task.space.protect(addr, length, rights);
    },
  });

export const calls = [
  brk, mmap2, oldMmap, munmap, mprotect, mremap, madvise, msync, mincore, pkeyMprotect,
];
