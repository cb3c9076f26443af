/** Memory of other processes, and rarely used calls: process_vm_readv and writev, remap_file_pages, protection keys that no CPU here has, policies of one node. */
import { CAP_SYS_NICE, CAP_SYS_PTRACE } from '../abi/capability.ts';
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH, Errno, errno } from '../abi/errno.ts';
import * as mman from '../abi/mman.ts';
import { PAGE_SIZE, pageDown } from '../abi/page.ts';
import { AREA_LOCKED } from '../mm/area.ts';
import type { UserMemory } from '../mm/user.ts';
import { capable } from '../proc/credentials.ts';
import { type Task, threadsOf } from '../proc/task.ts';
import { define } from './define.ts';
import { advise, isAdvice, isSealed } from './memory.ts';
import { mapWithLocks } from './memory-lock.ts';
import { processBehind } from './pidfd.ts';
import { address, count, fd, fdResult, hex, int, none, pid, size, structsIn, uint } from './kinds.ts';
import { type Iovec, iovec } from './transfer.ts';
import { loadAt } from './kinds.ts';

// ---- Other processes -----------------------------------------------------------------------------------------------------------

/** Linux UIO_MAXIOV. */
const VECTORS_MAX = 1024;
/** Most bytes one call moves (Linux MAX_RW_COUNT). */
const MOST = 0x7fff_f000;

function vectors(task: Task, at: number, number: number): Iovec[] {
  if (number > VECTORS_MAX) throw errno(EINVAL);
  return Array.from({ length: number }, (_, i) => {
    const part = loadAt(task, at + i * iovec.size, iovec);
    if (part.size > 0x7fff_ffff) throw errno(EINVAL);
    return part;
  });
}

/** The memory of a process that the task may look into: its own, one of the same user, any for root. */
function memoryOf(task: Task, number: number): UserMemory {
  const other = task.kernel.tasks.get(number);
  if (other === undefined || other.state === 'dead') throw errno(ESRCH);
  const mine = task.credentials;
  const { uid, euid, suid, gid, egid, sgid } = other.credentials;
  const same = [uid, euid, suid].every((id) => id === mine.uid) && [gid, egid, sgid].every((id) => id === mine.gid);
  if (other.process !== task.process && !capable(mine, CAP_SYS_PTRACE) && !(same && other.process.dumpable === 1)) throw errno(EPERM);
  return other.user;
}

/** A run over vectors: where the next piece, which lies in one page of the remote side, is. */
interface Cursor {
  readonly parts: readonly Iovec[];
  index: number;
  within: number;
}

/** Bytes left in the cursor's current part; passes over empty and finished ones. 0 at the end. */
function left(cursor: Cursor): number {
  for (; cursor.index < cursor.parts.length; cursor.index++, cursor.within = 0) {
    const rest = cursor.parts[cursor.index].size - cursor.within;
    if (rest > 0) return rest;
  }
  return 0;
}

/** Whether the other side may be reached at `at` this way: by its rights as they were asked for, whatever the processor allows (Linux check_vma_flags). No stack grows for it. */
function granted(other: UserMemory, at: number, writes: boolean): boolean {
  const area = other.space.find(at);
  return area !== undefined && (area.prot & (writes ? mman.PROT_WRITE : mman.PROT_READ)) !== 0;
}

/** Moves bytes until one side ends or a page cannot be reached: then as many as were moved, and EFAULT for none. */
function transfer(task: Task, words: { pid: number; local: number; locals: number; remote: number; remotes: number; flags: number }, writes: boolean): number {
  if (words.flags !== 0) throw errno(EINVAL);
  const local: Cursor = { parts: vectors(task, words.local, words.locals), index: 0, within: 0 };
  if (left(local) === 0) return 0;
  const remote: Cursor = { parts: vectors(task, words.remote, words.remotes), index: 0, within: 0 };
  if (left(remote) === 0) return 0;
  const other = memoryOf(task, words.pid);
  const buffer = new Uint8Array(PAGE_SIZE);
  let done = 0;
  while (done < MOST) {
    const room = Math.min(left(local), left(remote));
    if (room === 0) break;
    const theirs = remote.parts[remote.index].base + remote.within;
    const ours = local.parts[local.index].base + local.within;
    if (!granted(other, theirs, writes)) break;
    const piece = buffer.subarray(0, Math.min(room, pageDown(theirs) + PAGE_SIZE - theirs));
    const [source, from, target, to] = writes ? [task.user, ours, other, theirs] : [other, theirs, task.user, ours];
    const got = source.copyIn(from, piece);
    const moved = target.copyOut(to, piece.subarray(0, got));
    done += moved;
    local.within += moved;
    remote.within += moved;
    if (moved < piece.length) break;
  }
  if (done === 0) throw errno(EFAULT);
  return done;
}

const vectorArguments = [
  ['pid', pid], ['local_iov', structsIn(iovec, 'liovcnt', 'struct iovec')], ['liovcnt', count],
  ['remote_iov', structsIn(iovec, 'riovcnt', 'struct iovec')], ['riovcnt', count], ['flags', uint],
] as const;
const processVmReadv = define({
  name: 'process_vm_readv', args: vectorArguments, result: size, support: 'full',
  handler: (task, id, local, locals, remote, remotes, flags) => transfer(task, { pid: id, local, locals, remote, remotes, flags }, false),
});
const processVmWritev = define({
  name: 'process_vm_writev', args: vectorArguments, result: size, support: 'full',
  handler: (task, id, local, locals, remote, remotes, flags) => transfer(task, { pid: id, local, locals, remote, remotes, flags }, true),
});

/** Advice that one process may give about another's memory: none that changes what is in it. Linux process_madvise_remote_valid. */
const REMOTE_ADVICE = [mman.MADV_COLD, mman.MADV_PAGEOUT, mman.MADV_WILLNEED];

const processMadvise = define({
  name: 'process_madvise',
  args: [['pidfd', fd], ['vec', structsIn(iovec, 'vlen', 'struct iovec')], ['vlen', count], ['advice', int], ['flags', uint]],
  result: size, support: { partial: 'COLLAPSE answers EINVAL' },
  handler: (task, number, at, parts, advice, how) => {
    if (how !== 0) throw errno(EINVAL);
    const ranges = vectors(task, at, parts);
    const [owner] = threadsOf(task.kernel, processBehind(task, number).process);
    if (owner === undefined) throw errno(ESRCH);
    const isRemote = memoryOf(task, owner.tid).space !== task.space;
    if (!isAdvice(advice) || (isRemote && !REMOTE_ADVICE.includes(advice))) throw errno(EINVAL);
    if (isRemote && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
    let done = 0;
    try {
      for (const { base, size: bytes } of ranges) {
        advise(owner, base, bytes, advice);
        done += bytes;
      }
    } catch (error) {
      if (done === 0 || !(error instanceof Errno)) throw error;
    }
    return done;
  },
});

/** Told under --trace: what is not there. */
const userfaultfd = define({
  name: 'userfaultfd', args: [['flags', uint]], result: fdResult, support: { stub: 'answers ENOSYS: faults are not told to programs' },
  handler: (task) => {
    task.kernel.tracer.note?.(task, 'userfaultfd: faults are not told to programs; answered ENOSYS');
    throw errno(ENOSYS);
  },
});

// ---- remap_file_pages ----------------------------------------------------------------------------------------------------------

/** As today's Linux does it: a new mapping of the same object over the old one. */
const remapFilePages = define({
  name: 'remap_file_pages', args: [['addr', address], ['size', count], ['prot', uint], ['pgoff', hex], ['flags', uint]], result: none, support: 'full',
  handler: (task, at, length, prot, pgoff, how) => {
    const addr = pageDown(at);
    const bytes = pageDown(length);
    if (prot !== 0 || bytes === 0 || addr + bytes >= 2 ** 32) throw errno(EINVAL);
    const first = task.space.find(addr);
    // Linux calls a mapping of a file that is not open for writing private.
    if (first?.sharing !== 'shared' || first.object === undefined || (first.maxProt & mman.PROT_WRITE) === 0) throw errno(EINVAL);
    for (let { top } = first; top < addr + bytes; ) {
      const next = task.space.find(top);
      if (next?.sharing !== 'shared' || next.object !== first.object || next.file !== first.file) throw errno(EINVAL);
      if (next.flags !== first.flags || next.prot !== first.prot) throw errno(EINVAL);
      ({ top } = next);
    }
    const locked = (first.flags & AREA_LOCKED) !== 0 ? mman.MAP_LOCKED : 0;
    const flags = mman.MAP_SHARED | mman.MAP_FIXED | locked | (how & mman.MAP_NONBLOCK);
    const { object, file, name } = first;
    const sealed = isSealed(file);
    const check = () => {
      if (sealed && (first.prot & mman.PROT_WRITE) !== 0) throw errno(EPERM);
    };
    const maxProt = sealed ? first.maxProt & ~mman.PROT_WRITE : first.maxProt;
    mapWithLocks(task, { addr, size: bytes, prot: first.prot, flags, object, offset: pgoff, maxProt, file, name, check });
  },
});

// ---- Protection keys and nodes that are not there --------------------------------------------------------------------------------

/** A CPU without protection keys has none to give. */
const pkeyAlloc = define({
  name: 'pkey_alloc', args: [['flags', uint], ['access_rights', uint]], result: none, support: 'full', handler: () => { throw errno(EINVAL); },
});
const pkeyFree = define({
  name: 'pkey_free', args: [['pkey', int]], result: none, support: 'full', handler: () => { throw errno(EINVAL); },
});

export const calls = [processVmReadv, processVmWritev, processMadvise, userfaultfd, remapFilePages, pkeyAlloc, pkeyFree];
