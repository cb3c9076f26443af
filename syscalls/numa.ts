/**
 * Memory policies and pages between nodes, on a machine of one node: policies are checked, kept and told as Linux does (mm/mempolicy.c), and every page is on
 * node 0 whatever they say. A task's policy is its own; an area's lies in its flags, so that areas of different policies stay apart.
 */
import { CAP_SYS_NICE, CAP_SYS_PTRACE } from '../abi/capability.ts';
import { EACCES, EFAULT, EINVAL, ENODEV, ENOENT, ENOMEM, E2BIG, EOPNOTSUPP, EPERM, ESRCH, errno } from '../abi/errno.ts';
import { PROT_READ } from '../abi/mman.ts';
import { PAGE_SIZE, pageDown, pageUp } from '../abi/page.ts';
import { AREA_POLICY, AREA_POLICY_SHIFT } from '../mm/area.ts';
import { fault } from '../mm/fault.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { define } from './define.ts';
import { address, choice, count, flags, intResult, none, pid, pointerIn, pointerOut, uint } from './kinds.ts';

const MPOL_DEFAULT = 0, MPOL_PREFERRED = 1, MPOL_BIND = 2, MPOL_INTERLEAVE = 3, MPOL_LOCAL = 4, MPOL_PREFERRED_MANY = 5, MPOL_WEIGHTED_INTERLEAVE = 6;
const MODES = { MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED_MANY, MPOL_WEIGHTED_INTERLEAVE };
/** Flags in the mode's word. */
const MPOL_F_STATIC_NODES = 0x8000, MPOL_F_RELATIVE_NODES = 0x4000, MPOL_F_NUMA_BALANCING = 0x2000, MODE_FLAGS = 0xe000;
/** Flags of get_mempolicy, and of mbind and move_pages. */
const MPOL_F_NODE = 1, MPOL_F_ADDR = 2, MPOL_F_MEMS_ALLOWED = 4;
const MPOL_MF_STRICT = 1, MPOL_MF_MOVE = 2, MPOL_MF_MOVE_ALL = 4;
const mode = choice(MODES);
const moves = flags({ MPOL_MF_STRICT, MPOL_MF_MOVE, MPOL_MF_MOVE_ALL });

/** Linux MAX_NUMNODES, and bits in a word of a mask. */
const NODES_MAX = 64, WORD_BITS = 32;
/** Most bits a mask may have: a page full. */
const MASK_BITS_MAX = PAGE_SIZE * 8;
/** Most pages of one move_pages. */
const PAGES_MAX = 2 ** 20;

// A policy is a number: its mode, whether it names node 0, and its mode flags. 0 is none.
const HAS_NODE = 8, MODE_MASK = 7, FLAGS_SHIFT = 4, MODE_FLAGS_SHIFT = 13;

/** The nodes of a mask of `maxnode - 1` bits: whether node 0, and whether any other. Throws EINVAL and EFAULT. Linux get_nodes. */
function nodesIn(task: Task, at: number, maxnode: number): { readonly first: boolean; readonly others: boolean } {
  const bits = maxnode === 0 ? 2 ** 32 - 1 : maxnode - 1;
  if (bits === 0 || at === 0) return { first: false, others: false };
  if (bits > MASK_BITS_MAX) throw errno(EINVAL);
  let first = false;
  let others = false;
  for (let word = Math.ceil(bits / WORD_BITS) - 1; word >= 0; word--) {
    const used = Math.min(WORD_BITS, bits - word * WORD_BITS);
    const value = task.user.readU32(at + word * 4) & (used === WORD_BITS ? -1 : 2 ** used - 1);
    // What is beyond the kernel's own masks must be zero.
    if (value !== 0 && word >= NODES_MAX / WORD_BITS) throw errno(EINVAL);
    if (word > 0 ? value !== 0 : (value & ~1) !== 0) others = true;
    if (word === 0 && (value & 1) !== 0) first = true;
  }
  return { first, others };
}

/** The policy that a mode's word and a mask ask for. Throws EINVAL. Linux sanitize_mpol_flags, mpol_new and mpol_set_nodemask. */
function policyOf(task: Task, word: number, mask: number, maxnode: number): number {
  const modeFlags = word & MODE_FLAGS;
  let kind = word & ~MODE_FLAGS;
  if (kind < 0 || kind > MPOL_WEIGHTED_INTERLEAVE) throw errno(EINVAL);
  const isStatic = (modeFlags & MPOL_F_STATIC_NODES) !== 0;
  const isRelative = (modeFlags & MPOL_F_RELATIVE_NODES) !== 0;
  if (isStatic && isRelative) throw errno(EINVAL);
  if ((modeFlags & MPOL_F_NUMA_BALANCING) !== 0 && kind !== MPOL_BIND && kind !== MPOL_PREFERRED_MANY) throw errno(EINVAL);
  const { first, others } = nodesIn(task, mask, maxnode);
  const isEmpty = !first && !others;
  if (kind === MPOL_DEFAULT) {
    if (!isEmpty) throw errno(EINVAL);
    return 0;
  }
  if (kind === MPOL_PREFERRED && isEmpty) {
    if (isStatic || isRelative) throw errno(EINVAL);
    kind = MPOL_LOCAL;
  } else if (kind === MPOL_LOCAL) {
    if (!isEmpty || isStatic || isRelative) throw errno(EINVAL);
  } else if (isEmpty) throw errno(EINVAL);
  // Relative nodes are folded onto those there are; others must be among them.
  if (kind !== MPOL_LOCAL && !first && !isRelative) throw errno(EINVAL);
  return kind | (kind === MPOL_LOCAL ? 0 : HAS_NODE) | ((modeFlags >> MODE_FLAGS_SHIFT) << FLAGS_SHIFT);
}

const setMempolicy = define({
  name: 'set_mempolicy', args: [['mode', mode], ['nmask', pointerIn], ['maxnode', count]], result: none, support: 'full',
  handler: (task, word, mask, maxnode) => {
    task.memoryPolicy = policyOf(task, word | 0, mask, maxnode);
  },
});

const getMempolicy = define({
  name: 'get_mempolicy',
  args: [
    ['policy', pointerOut], ['nmask', pointerOut], ['maxnode', count], ['addr', address],
    ['flags', flags({ MPOL_F_NODE, MPOL_F_ADDR, MPOL_F_MEMS_ALLOWED })],
  ],
  result: none, support: 'full',
  handler: (task, policyAt, mask, maxnode, addr, how) => {
    if (mask !== 0 && maxnode < 1) throw errno(EINVAL);
    const [policy, node] = lookUp(task, addr, how);
    if (policyAt !== 0) task.user.writeU32(policyAt, policy);
    if (mask !== 0) storeNodes(task, mask, maxnode, node);
  },
});

/** The word to tell, and whether node 0 is among the nodes. */
function lookUp(task: Task, addr: number, how: number): readonly [word: number, node: boolean] {
  if ((how & ~(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED)) !== 0) throw errno(EINVAL);
  if ((how & MPOL_F_MEMS_ALLOWED) !== 0) {
    if ((how & (MPOL_F_NODE | MPOL_F_ADDR)) !== 0) throw errno(EINVAL);
    return [0, true];
  }
  let policy = task.memoryPolicy;
  if ((how & MPOL_F_ADDR) !== 0) {
    const area = task.space.find(addr);
    if (area === undefined) throw errno(EFAULT);
    policy = (area.flags & AREA_POLICY) >>> AREA_POLICY_SHIFT;
    if ((how & MPOL_F_NODE) !== 0) {
      const outcome = fault(task.space, addr, 'read');
      if (outcome.kind === 'wait') throw block(outcome.on);
      if (outcome.kind === 'signal') throw errno(EFAULT);
      return [0, (policy & HAS_NODE) !== 0];
    }
  } else if (addr !== 0) throw errno(EINVAL);
  if ((how & MPOL_F_NODE) !== 0) {
    const kind = policy & MODE_MASK;
    if (kind !== MPOL_INTERLEAVE && kind !== MPOL_WEIGHTED_INTERLEAVE) throw errno(EINVAL);
    return [0, true];
  }
  return [(policy & MODE_MASK) | ((policy >> FLAGS_SHIFT) << MODE_FLAGS_SHIFT), (policy & HAS_NODE) !== 0];
}

/** Linux copy_nodes_to_user: the one node's word, and zeros as far as the caller's mask reaches. */
function storeNodes(task: Task, at: number, maxnode: number, node: boolean): void {
  const bytes = Math.ceil((maxnode - 1) / 64) * 8;
  if (bytes > PAGE_SIZE) throw errno(EINVAL);
  if (bytes > 8 && task.user.zero(at + 8, bytes - 8) < bytes - 8) throw errno(EFAULT);
  task.user.writeU32(at, node ? 1 : 0);
  if (bytes === 8 && maxnode > WORD_BITS) task.user.writeU32(at + 4, 0);
}

const mbind = define({
  name: 'mbind', args: [['addr', address], ['len', count], ['mode', mode], ['nmask', pointerIn], ['maxnode', count], ['flags', moves]],
  result: none, support: 'full',
  handler: (task, addr, length, word, mask, maxnode, how) => {
    const policy = policyOf(task, word | 0, mask, maxnode);
    if ((how & ~(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0) throw errno(EINVAL);
    if ((how & MPOL_MF_MOVE_ALL) !== 0 && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
    if (addr % PAGE_SIZE !== 0) throw errno(EINVAL);
    const range = { base: addr, top: addr + pageUp(length) };
    if (range.base === range.top) return;
    const { table } = task.space;
    let covered = addr;
    for (const area of table.in(range)) {
      if (area.base > covered) break;
      covered = area.top;
    }
    if (covered < range.top) throw errno(EFAULT);
    if (task.space.areaCount + 2 > task.space.maxAreas) throw errno(ENOMEM);
    table.cutAt(range.base);
    table.cutAt(range.top);
    for (const area of [...table.in(range)]) table.setFlags(area, (area.flags & ~AREA_POLICY) | (policy << AREA_POLICY_SHIFT));
    table.merge(range);
  },
});

const setHomeNode = define({
  name: 'set_mempolicy_home_node', args: [['start', address], ['len', count], ['home_node', count], ['flags', uint]], result: none, support: 'full',
  handler: (task, start, length, node, how) => {
    if (start % PAGE_SIZE !== 0 || how !== 0 || node !== 0) throw errno(EINVAL);
    const range = { base: start, top: start + pageUp(length) };
    if (range.base === range.top) return;
    let found = false;
    for (const { flags: bits } of task.space.table.in(range)) {
      const kind = ((bits & AREA_POLICY) >>> AREA_POLICY_SHIFT) & MODE_MASK;
      if (kind === MPOL_DEFAULT) continue;
      if (kind !== MPOL_BIND && kind !== MPOL_PREFERRED_MANY) throw errno(EOPNOTSUPP);
      found = true;
    }
    if (!found) throw errno(ENOENT);
  },
});

// ---- Pages between nodes -------------------------------------------------------------------------------------------------------

/** The task of another process whose pages may be looked at (0: the caller's). Throws ESRCH and EPERM. */
function ownerOf(task: Task, number: number): Task {
  const other = number === 0 ? task : task.kernel.tasks.get(number);
  if (other === undefined) throw errno(ESRCH);
  const { uid, gid } = task.credentials;
  const theirs = other.credentials;
  const isSame = [theirs.uid, theirs.euid, theirs.suid].every((id) => id === uid) && [theirs.gid, theirs.egid, theirs.sgid].every((id) => id === gid);
  if (other.process !== task.process && !(isSame && other.process.dumpable === 1) && !capable(task.credentials, CAP_SYS_PTRACE)) throw errno(EPERM);
  return other;
}

const migratePages = define({
  name: 'migrate_pages', args: [['pid', pid], ['maxnode', count], ['old_nodes', pointerIn], ['new_nodes', pointerIn]], result: intResult, support: 'full',
  handler: (task, number, maxnode, from, to) => {
    nodesIn(task, from, maxnode);
    const { first, others } = nodesIn(task, to, maxnode);
    ownerOf(task, number);
    if (others && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
    if (!first) throw errno(EINVAL);
    return 0;
  },
});

const movePages = define({
  name: 'move_pages',
  args: [['pid', pid], ['count', count], ['pages', pointerIn], ['nodes', pointerIn], ['status', pointerOut], ['flags', moves]],
  result: intResult, support: 'full',
  handler: (task, number, pages, addresses, nodes, status, how) => {
    if ((how & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0) throw errno(EINVAL);
    if ((how & MPOL_MF_MOVE_ALL) !== 0 && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
    const owner = ownerOf(task, number);
    if (pages > PAGES_MAX) throw errno(E2BIG);
    for (let i = 0; i < pages; i++) {
      const at = task.user.readU32(addresses + i * 4);
      if (nodes !== 0 && task.user.readI32(nodes + i * 4) !== 0) throw errno(ENODEV);
      task.user.writeU32(status + i * 4, -nodeError(owner, at, nodes !== 0 && (how & MPOL_MF_MOVE_ALL) === 0));
    }
    return 0;
  },
});

/** Why a page is on no node, as an errno; 0: it is on node 0. `alone`: it must be the process's own. */
function nodeError({ space }: Task, at: number, alone: boolean): number {
  if (space.find(at) === undefined) return EFAULT;
  const offset = space.mmu.translate(at, PROT_READ);
  const own = space.copies.get(pageDown(at) / PAGE_SIZE);
  if (own >= 0) return alone && space.frames.count(own) > 1 ? EACCES : 0;
  if (offset < 0) return ENOENT;
  return space.frames.isZero(Math.floor(offset / PAGE_SIZE)) ? EFAULT : 0;
}

export const calls = [setMempolicy, getMempolicy, mbind, setHomeNode, migratePages, movePages];
