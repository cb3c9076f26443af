/** Capabilities: capget and capset in all their versions, and what prctl says and changes of them. Linux: kernel/capability.c, security/commoncap.c. */
import * as cap from '../abi/capability.ts';
import { EFAULT, EINVAL, EPERM, ESRCH, errno } from '../abi/errno.ts';
import { array, struct, u32, x32 } from '../abi/struct.ts';
import { capable, isSecured } from '../proc/credentials.ts';
import { INIT_PID } from '../proc/pids.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { setCredentials } from './identity.ts';
import { type InOut, loadAt, none, pointerIn, pointerOut, storeAt, structInOut } from './kinds.ts';

const VERSION_1 = 0x19980330, VERSION_2 = 0x20071026, VERSION_3 = 0x20080522;

interface Header {
  version: number;
  pid: number;
}
const header = struct<Header>({ version: x32, pid: u32 });
const data = struct<{ effective: number; permitted: number; inheritable: number }>({ effective: x32, permitted: x32, inheritable: x32 });

/** How many 32-bit halves the header's version asks for; an unknown one is corrected in place. */
function words(task: Task, at: InOut<Header>): number {
  const version = task.user.readU32(at);
  if (version === VERSION_1) return 1;
  if (version === VERSION_2 || version === VERSION_3) return 2;
  task.user.writeU32(at, VERSION_3);
  throw errno(EINVAL);
}

/** What the machine itself, process 1, may do. */
const MACHINE = { effective: cap.ALL_CAPABILITIES, permitted: cap.ALL_CAPABILITIES, inheritable: 0n };

const capget = define({
  name: 'capget', args: [['header', structInOut(header, 'struct __user_cap_header_struct')], ['data', pointerOut]], result: none, support: 'full',
  handler: (task, at, to) => {
    let halves: number;
    try {
      halves = words(task, at);
    } catch (thrown) {
      // Asking with an unknown version and no data is how programs learn the version.
      if (thrown === errno(EINVAL) && to === 0) return;
      throw thrown;
    }
    const target = loadAt(task, at, header).pid | 0;
    if (target < 0) throw errno(EINVAL);
    const credentials = target === INIT_PID ? MACHINE : (target === 0 ? task : task.kernel.tasks.get(target))?.credentials;
    if (credentials === undefined) throw errno(ESRCH);
    if (to === 0) return;
    const { effective, permitted, inheritable } = credentials;
    for (let i = 0; i < halves; i++) {
      const half = (set: cap.CapabilitySet): number => Number((set >> BigInt(32 * i)) & 0xffff_ffffn);
      storeAt(task, to + i * data.size, data, { effective: half(effective), permitted: half(permitted), inheritable: half(inheritable) });
    }
  },
});

const capset = define({
  name: 'capset', args: [['header', structInOut(header, 'struct __user_cap_header_struct')], ['data', pointerIn]], result: none, support: 'full',
  handler: (task, at, from) => {
    const halves = words(task, at);
    const target = loadAt(task, at, header).pid;
    if (target !== 0 && target !== task.tid) throw errno(EPERM);
    if (from === 0) throw errno(EFAULT);
    const given = loadAt(task, from, array(data, halves));
    const whole = (member: 'effective' | 'permitted' | 'inheritable'): cap.CapabilitySet =>
      given.reduce((set, half, i) => set | (BigInt(half[member] >>> 0) << BigInt(32 * i)), 0n) & cap.ALL_CAPABILITIES;
    setCapabilities(task, whole('effective'), whole('permitted'), whole('inheritable'));
  },
});

/** Linux: cap_capset. */
function setCapabilities(task: Task, effective: bigint, permitted: bigint, inheritable: bigint): void {
  const old = task.credentials;
  if (!capable(old, cap.CAP_SETPCAP) && !cap.isSubset(inheritable, old.inheritable | old.permitted)) throw errno(EPERM);
  if (!cap.isSubset(inheritable, old.inheritable | old.bounding)) throw errno(EPERM);
  if (!cap.isSubset(permitted, old.permitted) || !cap.isSubset(effective, permitted)) throw errno(EPERM);
  setCredentials(task, { ...old, effective, permitted, inheritable, ambient: old.ambient & permitted & inheritable });
}

// ---- prctl -----------------------------------------------------------------------------------------------------------------------

/** The prctl options that are about capabilities. */
export const CAPABILITY_OPTIONS = {
  PR_GET_KEEPCAPS: 7, PR_SET_KEEPCAPS: 8, PR_CAPBSET_READ: 23, PR_CAPBSET_DROP: 24, PR_GET_SECUREBITS: 27, PR_SET_SECUREBITS: 28,
  PR_CAP_AMBIENT: 47,
};
const PR = CAPABILITY_OPTIONS;
const AMBIENT_IS_SET = 1, AMBIENT_RAISE = 2, AMBIENT_LOWER = 3, AMBIENT_CLEAR_ALL = 4;

function isValid(capability: number): boolean {
  return capability <= cap.CAP_LAST;
}

/** What prctl answers to these options; undefined where the option is another's. Linux: cap_task_prctl. */
export function capabilityControl(task: Task, option: number, arg2: number, rest: readonly number[]): number | undefined {
  const { credentials: old } = task;
  switch (option) {
    case PR.PR_CAPBSET_READ:
      if (!isValid(arg2)) throw errno(EINVAL);
      return cap.hasCapability(old.bounding, arg2) ? 1 : 0;
    case PR.PR_CAPBSET_DROP:
      if (!capable(old, cap.CAP_SETPCAP)) throw errno(EPERM);
      if (!isValid(arg2)) throw errno(EINVAL);
      task.credentials = { ...old, bounding: old.bounding & ~cap.setOf(arg2) };
      return 0;
    case PR.PR_GET_SECUREBITS: return old.securebits;
    case PR.PR_SET_SECUREBITS:
      setSecureBits(task, arg2);
      return 0;
    case PR.PR_GET_KEEPCAPS: return isSecured(old, cap.SECURE_KEEP_CAPS) ? 1 : 0;
    case PR.PR_SET_KEEPCAPS:
      if (arg2 > 1) throw errno(EINVAL);
      if (isSecured(old, cap.SECURE_KEEP_CAPS_LOCKED)) throw errno(EPERM);
      task.credentials = { ...old, securebits: (old.securebits & ~cap.SECURE_KEEP_CAPS) | (arg2 === 1 ? cap.SECURE_KEEP_CAPS : 0) };
      return 0;
    case PR.PR_CAP_AMBIENT: return ambient(task, arg2, rest);
    default: return undefined;
  }
}

function setSecureBits(task: Task, bits: number): void {
  const { credentials: old } = task;
  const locked = (old.securebits & cap.SECURE_ALL_LOCKS) >> 1;
  const changesLocked = (locked & (old.securebits ^ bits)) !== 0;
  const unlocks = (old.securebits & cap.SECURE_ALL_LOCKS & ~bits) !== 0;
  const isUnknown = (bits & ~(cap.SECURE_ALL_LOCKS | cap.SECURE_ALL_BITS)) !== 0;
  if (changesLocked || unlocks || isUnknown || !capable(old, cap.CAP_SETPCAP)) throw errno(EPERM);
  task.credentials = { ...old, securebits: bits };
}

function ambient(task: Task, operation: number, [capability, ...rest]: readonly number[]): number {
  const { credentials: old } = task;
  if (operation === AMBIENT_CLEAR_ALL) {
    if (capability !== 0 || rest.some((word) => word !== 0)) throw errno(EINVAL);
    task.credentials = { ...old, ambient: cap.NO_CAPABILITIES };
    return 0;
  }
  if (!isValid(capability) || rest.some((word) => word !== 0)) throw errno(EINVAL);
  const one = cap.setOf(capability);
  switch (operation) {
    case AMBIENT_IS_SET: return (old.ambient & one) !== 0n ? 1 : 0;
    case AMBIENT_RAISE:
      if (!cap.isSubset(one, old.permitted & old.inheritable) || isSecured(old, cap.SECURE_NO_CAP_AMBIENT_RAISE)) throw errno(EPERM);
      task.credentials = { ...old, ambient: old.ambient | one };
      return 0;
    case AMBIENT_LOWER:
      task.credentials = { ...old, ambient: old.ambient & ~one };
      return 0;
    default: throw errno(EINVAL);
  }
}

export const calls = [capget, capset];
