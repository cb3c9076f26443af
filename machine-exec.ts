/** execve, as the machine does it: finds and checks the program, lets the old one go, loads the new one, and tells task and process. */
import { EACCES, ENOENT, ENOTDIR, EPERM, errno } from './abi/errno.ts';
import { IN_ACCESS, IN_CLOSE_NOWRITE, IN_OPEN } from './abi/inotify.ts';
import { ADDR_COMPAT_LAYOUT, ADDR_NO_RANDOMIZE, PER_CLEAR_ON_SETID, READ_IMPLIES_EXEC } from './abi/mman.ts';
import { MS_NOSUID } from './abi/mount.ts';
import { RLIM_INFINITY, RLIMIT_STACK } from './abi/resource.ts';
import { type Engine, ESP } from './emu/engine.ts';
import { loadProgram } from './loader/load.ts';
import { openProgram, type Program } from './loader/program.ts';
import { S_ISGID, S_ISUID, S_IXGRP } from './abi/stat.ts';
import { type Refusal, refusal } from './loader/refusal.ts';
import type { MemoryObject } from './mm/object.ts';
import { NO_SHIFTS, randomShifts, type Shifts } from './mm/randomize.ts';
import { AddressSpace } from './mm/space.ts';
import { UserMemory } from './mm/user.ts';
import { hidesProcess, type Promotion, parseFileCapabilities, type ProgramRights, promoted } from './proc/credentials.ts';
import { becomeOnlyThread, exitProcess, leaveMemory } from './proc/exit.ts';
import { NO_STACK } from './proc/signal.ts';
import { type ExecCall, type Task, threadsOf } from './proc/task.ts';
import { DirectoryPlace, pathOf } from './fs/path.ts';
import { mountFlags } from './fs/mount-table.ts';
import type { Place } from './fs/vnode.ts';

/** Bytes of comm, as Linux keeps them. */
const NAME_MAX = 15;
const SECURITY_CAPABILITY = 'security.capability';
/** Where execvp looks without a PATH. */
const DEFAULT_PATH = '/bin:/usr/bin';

export interface Execution extends ExecCall {
  /** A path without a slash is looked for in the environment's PATH, and refusals are returned, not thrown. */
  readonly search?: boolean;
}

/** What of a machine execve needs. */
export interface Executor {
  readonly parts: { readonly engine: Pick<Engine, 'cpu' | 'createMmu'> };
  /** The vdso's page, which every program maps. */
  readonly vdso: MemoryObject;
  readonly observer: { exec?(task: Task, path: string, refused: Refusal | undefined): void };
}

/**
 * Replaces the task's program. Throws the errno before the point of no return; behind it the process dies, which is not an error of the call.
 * With `search` every refusal is returned.
 */
export function execute(machine: Executor, task: Task, execution: Execution): Refusal | undefined {
  const { path } = execution;
  const program = find(task, execution);
  if (program.kind === 'refused') {
    if (execution.search) return program;
    throw errno(program.errno);
  }
  const { watches } = task.kernel.files;
  const target = { vnode: program.image.place.vnode, place: program.image.place };
  watches.happened(target, IN_OPEN);
  watches.happened(target, IN_ACCESS);
  try {
    const promotion = promote(task, program);
    if (promotion === undefined && execution.search) return refusal(EPERM, 'has more capabilities than may be given', path);
    if (promotion === undefined) throw errno(EPERM);
    const refused = replace(machine, task, program, promotion);
    task.name = nameOf(program, execution);
    machine.observer.exec?.(task, program.image.path, refused);
    return refused;
  } finally {
    program.close();
    watches.happened(target, IN_CLOSE_NOWRITE);
  }
}

/** The program at the path; with `search`, the first in PATH that can be executed, as execvp finds it. */
function find(task: Task, { path, place, isClosing, argv, env, search }: Execution): Program | Refusal {
  const { tree, root, cwd } = task.fs;
  const soft = task.process.limits[RLIMIT_STACK].current;
  const stackLimit = soft === RLIM_INFINITY ? Number.POSITIVE_INFINITY : Number(soft);
  const open = (at: string): Program | Refusal =>
    openProgram({ tree, context: { root, cwd, rights: task.credentials }, path: at, place, isClosing, argv, env, stackLimit });
  if (!search || path.includes('/')) return open(path);
  let denied: Refusal | undefined;
  for (const folder of (variable(env, 'PATH') ?? DEFAULT_PATH).split(':')) {
    const found = path === '' ? refusal(ENOENT, 'was not found') : open(folder === '' ? path : `${folder}/${path}`);
    const wayWrong = found.kind === 'refused' && found.path?.endsWith(`/${path}`) && (found.errno === ENOENT || found.errno === ENOTDIR);
    if (found.kind === 'refused' && found.errno === EACCES) denied ??= found;
    else if (!wayWrong && !(found.kind === 'refused' && found.path === path)) return found;
  }
  return denied ?? refusal(ENOENT, 'was not found in the PATH', path);
}

function variable(env: readonly string[], name: string): string | undefined {
  return env.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Who the task is behind the execve; undefined: it may not run this program. */
function promote(task: Task, { image }: Program): Promotion | undefined {
  const { credentials, kernel, process } = task;
  const own = threadsOf(kernel, process).filter((other) => other.fs === task.fs).length;
  const shares = kernel.users.count(task.fs) > own;
  return promoted(credentials, rightsOf(image.place, task), task.noNewPrivileges ? 'no new privileges' : shares ? 'shared' : 'no');
}

/** Linux: bprm_fill_uid and get_file_caps. */
function rightsOf(place: Place, task: Task): ProgramRights {
  const { vnode } = place;
  const { mode, uid, gid } = vnode.stat();
  const isNoSuid = (mountFlags(place) & MS_NOSUID) !== 0;
  const maySet = !task.noNewPrivileges && !isNoSuid;
  const value = isNoSuid ? undefined : vnode.attributes?.get(SECURITY_CAPABILITY);
  const setsGroup = (mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  return {
    setUid: mode & S_ISUID && maySet ? uid : undefined,
    setGid: setsGroup && maySet ? gid : undefined,
    capabilities: value === undefined ? undefined : parseFileCapabilities(value),
  };
}

/** Behind the point of no return. Linux: begin_new_exec, setup_new_exec and load_elf_binary. */
function replace(machine: Executor, task: Task, program: Program, promotion: Promotion): Refusal | undefined {
  const { process, kernel } = task;
  const { credentials } = promotion;
  becomeOnlyThread(task);
  leaveMemory(task);
  renewSpace(machine, task);
  unshare(task);
  promoteTask(task, promotion);
  const random = new Uint8Array(16);
  kernel.random(random);
  const loaded = loadProgram(program, {
    space: task.space,
    vdso: machine.vdso,
    secure: promotion.isSecure,
    ids: { uid: credentials.uid, euid: credentials.euid, gid: credentials.gid, egid: credentials.egid },
    cpu: machine.parts.engine.cpu,
    random,
    readImpliesExec: (process.personality & READ_IMPLIES_EXEC) !== 0,
    shifts: shiftsFor(task),
    bottomUp: (process.personality & ADDR_COMPAT_LAYOUT) !== 0,
  });
  forgetOldProgram(task, program);
  if (loaded.kind === 'refused') {
    exitProcess(kernel, process, { kind: 'killed', signo: loaded.signal ?? 11, core: false });
    return loaded;
  }
  if (loaded.readImpliesExec) process.personality |= READ_IMPLIES_EXEC;
  const { startCode, endCode, startData, endData, stackPointer, argStart, envStart, envEnd, auxv } = loaded;
  const { place } = program.image;
  process.image = { place, startCode, endCode, startData, endData, startStack: stackPointer, argStart, envStart, envEnd, auxv };
  task.registers.reset();
  task.registers.eip = loaded.entry;
  task.registers.set(ESP, loaded.stackPointer);
  task.sigreturnStub = loaded.sigreturn;
  task.rtSigreturnStub = loaded.rtSigreturn;
  return undefined;
}

/** Where the new program's things go. Linux: PF_RANDOMIZE. */
function shiftsFor({ kernel, process }: Task): Shifts {
  const { randomizeLayout } = kernel.settings;
  if (randomizeLayout === 0 || (process.personality & ADDR_NO_RANDOMIZE) !== 0) return NO_SHIFTS;
  const word = new Uint32Array(1);
  const draw = (n: number): number => {
    kernel.random(new Uint8Array(word.buffer));
    return word[0] % n;
  };
  return randomShifts(draw, randomizeLayout > 1);
}

/** Whoever is somebody else now is not to be looked into, and learns nothing of its parent's death. Linux: begin_new_exec, commit_creds. */
function promoteTask(task: Task, { credentials, isSecure, clearsPersonality }: Promotion): void {
  const { process, credentials: old } = task;
  const isSame = credentials.euid === credentials.uid && credentials.egid === credentials.gid;
  process.dumpable = isSame && !hidesProcess(old, credentials) ? 1 : 0;
  if (isSecure || hidesProcess(old, credentials)) task.parentDeathSignal = 0;
  if (clearsPersonality) process.personality &= ~PER_CLEAR_ON_SETID;
  task.credentials = credentials;
}

/** A space that others still use (vfork, threads of a dying process) stays theirs. */
function renewSpace(machine: Executor, task: Task): void {
  const { space, kernel } = task;
  const { users } = kernel;
  if (!users.shared(space)) return;
  const { layout, frames, mayMapLow, maxAreas } = space;
  task.space = new AddressSpace({ mmu: machine.parts.engine.createMmu(), frames, layout, limits: task.process.memoryLimits, maxAreas });
  task.space.mayMapLow = mayMapLow;
  task.user = new UserMemory(task.space);
  users.drop(space);
  users.add(task.space);
}

/** Descriptors and signal actions that other processes share stay theirs. */
function unshare(task: Task): void {
  const { users } = task.kernel;
  if (users.shared(task.files)) {
    users.drop(task.files);
    task.files = task.files.copy();
    users.add(task.files);
  }
  if (users.shared(task.actions)) {
    users.drop(task.actions);
    task.actions = task.actions.copy();
    users.add(task.actions);
  }
}

/** comm. */
function nameOf({ execfn, image }: Program, { isNameless }: Execution): string {
  const path = isNameless && !(image.place instanceof DirectoryPlace) ? image.place.name.replace(/ \(deleted\)$/, '') : execfn;
  return path.slice(path.lastIndexOf('/') + 1).slice(0, NAME_MAX);
}

function forgetOldProgram(task: Task, program: Program): void {
  const { process } = task;
  process.hasExecuted = true;
  process.executable = pathOf(program.image.place, task.fs.root) ?? program.image.path;
  process.argv = program.argv;
  process.envp = program.env;
  task.actions.resetHandlers();
  process.posixTimers.clear();
  task.signals.alternate = NO_STACK;
  task.clearChildTid = 0;
  task.robustList = 0;
  task.rseq = undefined;
  task.userDispatch = undefined;
  task.files.closeMarked();
}
