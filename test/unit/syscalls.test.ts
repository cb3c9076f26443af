/** Definitions, dispatch and tracing, with tasks that have no CPU. */
import { expect, test } from 'vitest';
import { EBADF, EFAULT, EINTR, EINVAL, ENOSYS, EPERM, ESRCH, errno } from '../../abi/errno.ts';
import { SA_RESTART, SIGUSR1 } from '../../abi/signal.ts';
import { struct, u32 } from '../../abi/struct.ts';
import { timespec32 } from '../../abi/time.ts';
import { syscallsDocument } from '../../debug/syscalls-doc.ts';
import { Strace } from '../../debug/strace.ts';
import { EAX, GS } from '../../emu/engine.ts';
import { NOBODY } from '../../fs/wait.ts';
import { sendToTask } from '../../proc/send.ts';
import { userInfo } from '../../proc/siginfo.ts';
import { block } from '../../proc/wait.ts';
import { define, sampleArguments, type SampleSource } from '../../syscalls/define.ts';
import { bytesOut, count, fd, int, intResult, load, none, off64, path, size, store, structIn, structOut } from '../../syscalls/kinds.ts';
import { SYSCALL_NAMES, SYSCALLS } from '../../syscalls/table.ts';
import { readFileSync } from 'node:fs';
import { CODE, numberOf, SCRATCH, TestMachine } from './proc-parts.ts';

test('a handler that misuses an argument does not compile', () => {
  const pair = struct<{ a: number }>({ a: u32 });
  define({ name: 'x', args: [['n', int]], result: intResult, support: 'full', handler: (_task, n) => n + 1 });
  // @ts-expect-error a path is a string, not a number
  define({ name: 'x', args: [['p', path]], result: intResult, support: 'full', handler: (_task, p) => p + 1 });
  // @ts-expect-error there is only one argument
  define({ name: 'x', args: [['n', int]], result: intResult, support: 'full', handler: (_task, n, m) => n + m });
  // @ts-expect-error the result is a number
  define({ name: 'x', args: [['n', int]], result: intResult, support: 'full', handler: (_task, n) => String(n) });
  // @ts-expect-error what the call fills cannot be read
  define({ name: 'x', args: [['o', structOut(pair)]], result: none, support: 'full', handler: (task, o) => void load(task, o, pair) });
  // @ts-expect-error what the call reads cannot be filled
  define({ name: 'x', args: [['i', structIn(pair)]], result: none, support: 'full', handler: (task, i) => store(task, i, pair, { a: 1 }) });
  define({
    name: 'x',
    args: [['o', structOut(pair)]],
    result: none,
    support: 'full',
    // @ts-expect-error another struct does not fit
    handler: (task, o) => store(task, o, timespec32, { tv_sec: 1, tv_nsec: 1 }),
  });
  // @ts-expect-error a descriptor is no pointer
  define({ name: 'x', args: [['fd', fd]], result: none, support: 'full', handler: (task, f) => void load(task, f, pair) });
  expect(true).toBe(true);
});

test('every definition has a number, every number at most one definition, and arguments fit into six registers', () => {
  SYSCALLS.forEach((call, number) => {
    if (call === undefined) return;
    expect(call.name).toBe(SYSCALL_NAMES[number]);
    const registers = call.args.reduce((sum, [, kind]) => sum + kind.registers, 0);
    expect(registers, call.name).toBeLessThanOrEqual(6);
  });
});

test('the committed table of calls is the current one', () => {
  const committed = readFileSync(new URL('../../docs/SYSCALLS.md', import.meta.url), 'utf8');
  expect(committed === syscallsDocument(), 'run npm run docs:syscalls').toBe(true);
});

test('a call leaves its result in eax and eip behind the instruction', () => {
  const machine = new TestMachine();
  const task = machine.task({ pid: 77 });
  expect(machine.call(task, 'getpid')).toBe(77);
  expect(task.registers.eip).toBe(CODE + 2);
});

test('an errno becomes a negative result', () => {
  const machine = new TestMachine();
  const task = machine.task();
  expect(machine.call(task, 'getpgid', 9999)).toBe(-ESRCH);
  expect(machine.call(task, 'uname', 8)).toBe(-EFAULT);
  expect(machine.call(task, 'bind', 55)).toBe(-EBADF);
});

test('a number nobody answers is ENOSYS and is counted', () => {
  const machine = new TestMachine();
  const task = machine.task();
  task.registers.set(EAX, 444_444);
  machine.dispatcher.dispatch(task);
  task.registers.eip = CODE;
  task.registers.set(EAX, 0xffff_ffff);
  machine.dispatcher.dispatch(task);
  expect(task.registers.get(EAX) | 0).toBe(-ENOSYS);
  expect([...machine.dispatcher.unknown]).toEqual([
    [444_444, 1],
    [0xffff_ffff, 1],
  ]);
});

test('64-bit arguments take two registers, low word first, signed', () => {
  const seen: number[] = [];
  const call = define({
    name: 'pread64',
    args: [
      ['fd', fd],
      ['buf', bytesOut('count')],
      ['count', count],
      ['offset', off64],
    ],
    result: size,
    support: 'full',
    handler: (_task, _fd, _buf, _count, offset) => {
      seen.push(offset);
      return 0;
    },
  });
  const table = SYSCALLS.map((_, number) => (number === numberOf('pread64') ? call : undefined));
  const machine = new TestMachine({ table });
  const task = machine.task();
  machine.dispatch(task, 'pread64', 3, 0, 0, 0x10, 0x2);
  machine.dispatch(task, 'pread64', 3, 0, 0, 0xffff_ffff, 0xffff_ffff);
  expect(seen).toEqual([0x2_0000_0010, -1]);
});

test('a call that waits has changed nothing, runs again when woken, and keeps its deadline', () => {
  const machine = new TestMachine();
  const task = machine.task();
  task.user.writeU32(SCRATCH, 2);
  task.user.writeU32(SCRATCH + 4, 500_000_000);
  expect(machine.call(task, 'nanosleep', SCRATCH, 0)).toBe(undefined);
  expect([task.state, task.registers.eip, task.registers.get(EAX)]).toEqual(['waiting', CODE, numberOf('nanosleep')]);
  machine.clock.now += 1_000_000_000n;
  machine.scheduler.wake(task);
  expect(machine.again(task)).toBe(undefined);
  expect(machine.scheduler.nextDeadline()).toBe(3_500_000_000n);
  machine.pass(1_500_000_000n);
  expect(machine.again(task)).toBe(0);
});

test('a handler cuts a sleep short and the rest is written; the call is over when the handler begins', () => {
  const machine = new TestMachine();
  const task = machine.task();
  task.actions.set(SIGUSR1, { handler: 0x0804_9000, flags: SA_RESTART, restorer: 0, mask: { low: 0, high: 0 } });
  task.user.writeU32(SCRATCH, 5);
  machine.call(task, 'nanosleep', SCRATCH, SCRATCH + 16);
  machine.clock.now += 2_000_000_000n;
  sendToTask(task, userInfo(SIGUSR1, 0, 1, 0));
  machine.kernel.interruptCall(task, true);
  expect([task.registers.get(EAX) | 0, task.registers.eip]).toEqual([-EINTR, CODE + 2]);
  expect(task.user.readU32(SCRATCH + 16)).toBe(3);
});

test('SA_RESTART lets a call run again after the handler, unless the call never restarts', () => {
  const machine = new TestMachine({ table: waitingTable('restart') });
  const task = machine.task();
  machine.call(task, 'read');
  machine.kernel.interruptCall(task, true);
  expect([task.registers.eip, task.registers.get(EAX)]).toEqual([CODE, numberOf('read')]);
  machine.kernel.interruptCall(task, false);
  expect([task.registers.eip, task.registers.get(EAX) | 0]).toEqual([CODE + 2, -EINTR]);

  const never = new TestMachine({ table: waitingTable('fail') });
  const other = never.task();
  never.call(other, 'read');
  never.kernel.interruptCall(other, true);
  expect(other.registers.get(EAX) | 0).toBe(-EINTR);
});

test('a call that has moved something before it had to wait returns that when it is cut short', () => {
  const machine = new TestMachine({ table: waitingTable('restart', 17) });
  const task = machine.task();
  machine.call(task, 'read');
  machine.kernel.interruptCall(task, true);
  expect(task.registers.get(EAX)).toBe(17);
});

function waitingTable(interrupted: 'restart' | 'fail', progress = 0) {
  const call = define({
    name: 'read',
    args: [],
    result: size,
    support: 'full',
    interrupted,
    handler: (task) => {
      task.call.progress = progress;
      throw block(NOBODY);
    },
  });
  return SYSCALLS.map((_, number) => (number === numberOf('read') ? call : undefined));
}

test('old multiplexers run, and are traced as, the call they stand for', () => {
  const lines: string[] = [];
  const machine = new TestMachine({ tracer: new Strace((line) => lines.push(line)) });
  const task = machine.task();
  [0x2000_0000, 0x2000, 3, 0x32, 0xffff_ffff, 0].forEach((word, i) => task.user.writeU32(SCRATCH + 4 * i, word));
  expect(machine.call(task, 'mmap', SCRATCH)).toBe(0x2000_0000);
  [5, 1, 0].forEach((word, i) => task.user.writeU32(SCRATCH + 4 * i, word));
  machine.call(task, 'socketcall', 1, SCRATCH);
  expect(lines).toEqual([
    'mmap2(0x20000000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x20000000',
    'socket(5, SOCK_STREAM, 0)               = -1 EAFNOSUPPORT (Address family not supported by protocol)',
  ]);
});

test('a trace shows names, strings, structs and errors as strace does', () => {
  const lines: string[] = [];
  const machine = new TestMachine({ tracer: new Strace((line) => lines.push(line)) });
  const task = machine.task({ pid: 5 });
  machine.call(task, 'clock_gettime', 1, SCRATCH);
  machine.call(task, 'kill', 5, 0);
  machine.call(task, 'mprotect', 1, 4096, 5);
  task.user.write(
    SCRATCH,
    Uint8Array.from('/a"\n\u0001x\0', (c) => c.charCodeAt(0)),
  );
  machine.call(task, 'execve', SCRATCH, 0, 0);
  machine.call(task, 'io_uring_setup', 1, 2);
  machine.call(task, 'exit_group', 3);
  expect(lines).toEqual([
    'clock_gettime(CLOCK_MONOTONIC, {tv_sec=1, tv_nsec=0}) = 0',
    'kill(5, 0)                              = 0',
    'mprotect(0x1, 4096, PROT_READ|PROT_EXEC) = -1 EINVAL (Invalid argument)',
    'execve("/a\\"\\n\\1x", NULL, NULL)         = -1 ENOSYS (Function not implemented)',
    'io_uring_setup(0x1, 0x2, 0, 0, 0, 0)    = -1 ENOSYS (Function not implemented)',
    'exit_group(3)                           = ?',
  ]);
});

test('arguments made from the definitions never make a call throw anything but an errno', () => {
  let seed = 12345;
  const below = (n: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const source: SampleSource = { below, fd: () => below(5) - 1, path: () => SCRATCH, buffer: () => SCRATCH + 64 + below(0x8000) * 16 };
  const fatal = new Set([
    'exit',
    'exit_group',
    'sigreturn',
    'rt_sigreturn',
    'kill',
    'tkill',
    'tgkill',
    'rt_sigqueueinfo',
    'rt_tgsigqueueinfo',
    'munmap',
    'mmap',
    'mmap2',
    'mremap',
    'mprotect',
    'pkey_mprotect',
  ]);
  const words = new Uint32Array(8);
  for (let round = 0; round < 40; round++) {
    const machine = new TestMachine({ tracer: new Strace(() => {}) });
    const task = machine.task();
    for (const call of SYSCALLS) {
      // Calls on files need file services; they have a fuzzer of their own.
      if (call === undefined || fatal.has(call.name) || !OWN_CALLS.has(call.name)) continue;
      sampleArguments(call, source, words);
      const outcome = machine.dispatch(task, call.name, ...words);
      if (outcome.kind === 'wait') task.kernel.interruptCall(task, false);
      expect(outcome.kind, call.name).not.toBe('signal');
    }
  }
});

/** The families that need nothing but tasks and memory. */
const OWN_CALLS = new Set(
  (
    await Promise.all(
      ['capability', 'identity', 'memory', 'process', 'resource', 'signal', 'system', 'thread', 'time'].map(
        (family) => import(`../../syscalls/${family}.ts`),
      ),
    )
  ).flatMap(({ calls }) => calls.map(({ name }: { name: string }) => name)),
);

test('set_thread_area hands out entries 12 to 14, fills the number in, and refuses what Linux refuses', () => {
  const machine = new TestMachine();
  const task = machine.task();
  const describe = (entry: number, base: number, limit: number, flags: number) =>
    [entry, base, limit, flags].forEach((word, i) => task.user.writeU32(SCRATCH + 4 * i, word));
  for (const entry of [12, 13, 14]) {
    describe(0xffff_ffff, 0x1234_5000, 0xfffff, 0x51);
    expect(machine.call(task, 'set_thread_area', SCRATCH)).toBe(0);
    expect(task.user.readU32(SCRATCH)).toBe(entry);
  }
  describe(0xffff_ffff, 0, 0, 0x51);
  expect(machine.call(task, 'set_thread_area', SCRATCH)).toBe(-ESRCH);
  describe(11, 0, 0, 0x51);
  expect(machine.call(task, 'set_thread_area', SCRATCH)).toBe(-EINVAL);
  describe(12, 0x1000, 0xf, 0x50);
  expect(machine.call(task, 'set_thread_area', SCRATCH), '16-bit segments').toBe(-EINVAL);
  task.registers.loadSelector(GS, 0x63);
  describe(12, 0x777_7000, 0xfffff, 0x51);
  machine.call(task, 'set_thread_area', SCRATCH);
  expect(task.registers.segmentBase(GS)).toBe(0x777_7000);
  describe(12, 0, 0, 0);
  machine.call(task, 'get_thread_area', SCRATCH);
  expect([0, 1, 2, 3].map((i) => task.user.readU32(SCRATCH + 4 * i))).toEqual([12, 0x777_7000, 0xfffff, 0x51]);
});

test('ids follow the rules of setresuid for a user who is not root', () => {
  const machine = new TestMachine();
  const task = machine.task({ uid: 1000 });
  expect(machine.call(task, 'setuid32', 0)).toBe(-EPERM);
  expect(machine.call(task, 'setresuid32', 1000, 1000, 0)).toBe(-EPERM);
  expect(machine.call(task, 'setreuid', 0xffff, 1000)).toBe(0);
  const root = machine.task({ uid: 0 });
  expect(machine.call(root, 'setresuid32', 5, 70_000, 0)).toBe(0);
  expect(machine.call(root, 'geteuid')).toBe(65_534);
  expect(machine.call(root, 'geteuid32')).toBe(70_000);
  expect(machine.call(root, 'setuid32', 0)).toBe(0);
  expect(machine.call(root, 'setuid32', 5)).toBe(0);
});

test('limits: soft ones move freely below hard ones, which only go down', () => {
  const machine = new TestMachine();
  const task = machine.task();
  task.user.writeU32(SCRATCH, 256 << 20);
  task.user.writeU32(SCRATCH + 4, 512 << 20);
  expect(machine.call(task, 'setrlimit', 9, SCRATCH)).toBe(0);
  expect(task.space.limits.as).toBe(256 << 20);
  task.user.writeU32(SCRATCH + 4, 0xffff_ffff);
  expect(machine.call(task, 'setrlimit', 9, SCRATCH)).toBe(-EPERM);
  expect(machine.call(task, 'getrlimit', 0, SCRATCH)).toBe(0);
  expect(task.user.readU32(SCRATCH)).toBe(0x7fff_ffff);
  expect(machine.call(task, 'ugetrlimit', 0, SCRATCH)).toBe(0);
  expect(task.user.readU32(SCRATCH)).toBe(0xffff_ffff);
});

test('errno is one shared value a number', () => {
  expect(errno(EINVAL)).toBe(errno(EINVAL));
});
