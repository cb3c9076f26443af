/** The machine as a whole: its name, its memory, its random numbers, and what only an administrator could ask of it. */
import { CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYSLOG } from '../abi/capability.ts';
import { EFAULT, EINVAL, EPERM, errno } from '../abi/errno.ts';
import { array, bytes, i32, struct, text, u16, u32 } from '../abi/struct.ts';
import { SECOND_NS } from '../abi/time.ts';
import { capable } from '../proc/credentials.ts';
import type { Identity, Task } from '../proc/task.ts';
import { define, type Parameter } from './define.ts';
import { address, bytesOut, choice, count, flags, hex, int, intResult, none, path, pointerIn, pointerOut, size, store, string, structOut } from './kinds.ts';

// ---- Names ---------------------------------------------------------------------------------------------------------------------

const FIELD = 65;
type Names = Pick<Identity, 'sysname' | 'nodename' | 'release' | 'version' | 'machine'>;

function names(length: number) {
  return { sysname: text(length), nodename: text(length), release: text(length), version: text(length), machine: text(length) };
}
const newNames = struct<Names & { domainname: string }>({ ...names(FIELD), domainname: text(FIELD) });
const oldNames = struct<Names>(names(FIELD));
const oldestNames = struct<Names>(names(9));

const uname = define({
  name: 'uname', args: [['buf', structOut(newNames, 'struct new_utsname')]], result: none, support: 'full',
  handler: (task, buf) => store(task, buf, newNames, task.kernel.identity),
});
const olduname = define({
  name: 'olduname', args: [['buf', structOut(oldNames, 'struct old_utsname')]], result: none, support: 'full',
  handler: (task, buf) => store(task, buf, oldNames, task.kernel.identity),
});
const oldolduname = define({
  name: 'oldolduname', args: [['buf', structOut(oldestNames, 'struct oldold_utsname')]], result: none, support: 'full',
  handler: (task, buf) => {
    if (buf === 0) throw errno(EFAULT);
    store(task, buf, oldestNames, task.kernel.identity);
  },
});

/** Longest host or domain name. */
const NAME_MAX = 64;

function setName(name: string, member: 'nodename' | 'domainname') {
  return define({
    name, args: [['name', pointerIn], ['len', int]], result: none, support: 'full',
    handler: (task, from, length) => {
      if (!capable(task.credentials, CAP_SYS_ADMIN)) throw errno(EPERM);
      if (length < 0 || length > NAME_MAX) throw errno(EINVAL);
      task.kernel.identity[member] = String.fromCharCode(...task.user.read(from, length));
    },
  });
}

// ---- Memory and randomness -----------------------------------------------------------------------------------------------------

interface Sysinfo {
  uptime: number; loads: number[]; totalram: number; freeram: number; sharedram: number; bufferram: number; totalswap: number; freeswap: number;
  procs: number; pad: number; totalhigh: number; freehigh: number; mem_unit: number; rest: Uint8Array;
}
const sysinfoLayout = struct<Sysinfo>({
  uptime: i32, loads: array(u32, 3), totalram: u32, freeram: u32, sharedram: u32, bufferram: u32, totalswap: u32, freeswap: u32, procs: u16,
  pad: u16, totalhigh: u32, freehigh: u32, mem_unit: u32, rest: bytes(8),
});

const sysinfo = define({
  name: 'sysinfo', args: [['info', structOut(sysinfoLayout, 'struct sysinfo')]], result: none, support: 'full',
  handler: (task, info) => {
    const { kernel } = task;
    const { total, free } = kernel.memory();
    // Linux counts in pages where bytes would not fit into 32 bits.
    const unit = total > 0xffffffff ? 4096 : 1;
    store(task, info, sysinfoLayout, {
      uptime: Number((kernel.clock.monotonic() + SECOND_NS - 1n) / SECOND_NS), loads: [0, 0, 0], totalram: Math.floor(total / unit),
      freeram: Math.floor(free / unit), sharedram: 0, bufferram: 0, totalswap: 0, freeswap: 0, procs: kernel.tasks.size, pad: 0, totalhigh: 0,
      freehigh: 0, mem_unit: unit, rest: new Uint8Array(8),
    });
  },
});

const GRND = { GRND_NONBLOCK: 1, GRND_RANDOM: 2, GRND_INSECURE: 4 };
/** Most bytes one call gives. */
const RANDOM_MAX = 0x1ff_ffff, RANDOM_PART = 65_536;

const getrandom = define({
  name: 'getrandom', args: [['buf', bytesOut('buflen')], ['buflen', count], ['flags', flags(GRND)]], result: size, support: 'full',
  handler: (task, buf, length, how) => {
    const both = GRND.GRND_RANDOM | GRND.GRND_INSECURE;
    if ((how & ~7) !== 0 || (how & both) === both) throw errno(EINVAL);
    const wanted = Math.min(length, RANDOM_MAX);
    let done = 0;
    while (done < wanted) {
      const part = new Uint8Array(Math.min(RANDOM_PART, wanted - done));
      task.kernel.random(part);
      const written = task.user.copyOut(buf + done, part);
      done += written;
      if (written < part.length) break;
    }
    if (done === 0 && wanted > 0) throw errno(EFAULT);
    return done;
  },
});

// ---- Administration ------------------------------------------------------------------------------------------------------------

const SYSLOG = {
  SYSLOG_ACTION_CLOSE: 0, SYSLOG_ACTION_OPEN: 1, SYSLOG_ACTION_READ: 2, SYSLOG_ACTION_READ_ALL: 3, SYSLOG_ACTION_READ_CLEAR: 4,
  SYSLOG_ACTION_CLEAR: 5, SYSLOG_ACTION_CONSOLE_OFF: 6, SYSLOG_ACTION_CONSOLE_ON: 7, SYSLOG_ACTION_CONSOLE_LEVEL: 8,
  SYSLOG_ACTION_SIZE_UNREAD: 9, SYSLOG_ACTION_SIZE_BUFFER: 10,
};
const LOG_SIZE = 262_144;

const syslog = define({
  name: 'syslog', args: [['type', choice(SYSLOG)], ['bufp', pointerOut], ['len', int]], result: intResult,
  support: { partial: 'the kernel log is empty' },
  handler: (task, type) => {
    if (!capable(task.credentials, CAP_SYSLOG)) throw errno(EPERM);
    if (type < 0 || type > SYSLOG.SYSLOG_ACTION_SIZE_BUFFER) throw errno(EINVAL);
    return type === SYSLOG.SYSLOG_ACTION_SIZE_BUFFER ? LOG_SIZE : 0;
  },
});

const FORBIDDEN = { stub: 'EPERM: nobody may do this to the emulated machine' } as const;

function forbidden(name: string, args: readonly Parameter[]) {
  return define({
    name, args, result: none, support: FORBIDDEN,
    handler: (task: Task) => {
      task.kernel.tracer.note?.(task, `${name} is for administrators; answered EPERM`);
      throw errno(EPERM);
    },
  });
}

/** Linux: the order of sys_reboot. The machine's end is not a guest's to decide. */
const REBOOT_MAGIC = 0xfee1_dead;
const REBOOT_MAGIC2: ReadonlySet<number> = new Set([672274793, 85072278, 369367448, 537993216]);
const CAD_ON = 0x89ab_cdef, CAD_OFF = 0;

const reboot = define({
  name: 'reboot', args: [['magic', hex], ['magic2', hex], ['cmd', hex], ['arg', address]], result: none,
  support: { partial: 'the key combination can be switched; everything else is EPERM' },
  handler: (task, magic, magic2, command) => {
    if (!capable(task.credentials, CAP_SYS_BOOT)) throw errno(EPERM);
    if (magic !== REBOOT_MAGIC || !REBOOT_MAGIC2.has(magic2)) throw errno(EINVAL);
    if (command === CAD_ON || command === CAD_OFF) return;
    task.kernel.tracer.note?.(task, 'reboot is for the one who started the machine; answered EPERM');
    throw errno(EPERM);
  },
});

const administration = [
  reboot,
  forbidden('swapon', [['path', path], ['swapflags', int]]),
  forbidden('swapoff', [['path', path]]),
  forbidden('acct', [['filename', string]]),
  forbidden('ioperm', [['from', hex], ['num', count], ['turn_on', int]]),
  forbidden('iopl', [['level', int]]),
  forbidden('init_module', [['module_image', pointerIn], ['len', count], ['param_values', string]]),
  forbidden('finit_module', [['fd', int], ['param_values', string], ['flags', int]]),
  forbidden('delete_module', [['name', string], ['flags', int]]),
  forbidden('kexec_load', [['entry', address], ['nr_segments', count], ['segments', pointerIn], ['flags', hex]]),
  forbidden('vhangup', []),
  forbidden('bpf', [['cmd', int], ['attr', pointerIn], ['size', count]]),
  forbidden('perf_event_open', [['attr', pointerIn], ['pid', int], ['cpu', int], ['group_fd', int], ['flags', hex]]),
];

export const calls = [
  uname, olduname, oldolduname, setName('sethostname', 'nodename'), setName('setdomainname', 'domainname'), sysinfo, getrandom, syslog,
  ...administration,
];
