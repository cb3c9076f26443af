/** What /proc shows of a kernel's processes and of the machine, as Linux's fs/proc prints it. The tree is fs/procfs.ts; the files are in debug/proc. */
import { CAP_DAC_OVERRIDE } from '../abi/capability.ts';
import { ENOENT, errno } from '../abi/errno.ts';
import { pathOf } from '../fs/path.ts';
import type { Caller, ProcFile } from '../fs/proc-node.ts';
import type { ProcessView, ProcFiles, ProcJump, ProcSource } from '../fs/procfs.ts';
import { capable } from '../proc/credentials.ts';
import type { Process } from '../proc/process.ts';
import { type Kernel, type Task, threadsOf } from '../proc/task.ts';
import { descriptorText } from './proc/descriptor.ts';
import { machineFiles, type ProcOptions } from './proc/machine-files.ts';
import { mappedFile, mappedFiles } from './proc/memory.ts';
import { mayInspect, PROCESS_FILES } from './proc/process-files.ts';

export function procSource(kernel: Kernel, options: ProcOptions): ProcSource {
  return {
    now_ns: () => kernel.clock.realtime(),
    pids: () => kernel.processes.keys(),
    caller: () => callerOf(options.current()),
    process: (pid) => processView(kernel, pid, options),
    files: machineFiles(kernel, options),
  };
}

/** Who makes the running call, as made-up files see it. */
export function callerOf(task: Task | undefined): Caller | undefined {
  if (task === undefined) return undefined;
  const { fsuid: uid, fsgid: gid, groups } = task.credentials;
  return { pid: task.process.pid, tid: task.tid, uid, gid, groups, privileged: capable(task.credentials, CAP_DAC_OVERRIDE) };
}

function processView(kernel: Kernel, pid: number, options: ProcOptions): ProcessView | undefined {
  const process = kernel.processes.get(pid);
  const [task = process && kernel.remains.get(process)] = process === undefined ? [] : threadsOf(kernel, process);
  return process === undefined || task === undefined ? undefined : taskView(kernel, process, task, options);
}

const NAMES = Object.keys(PROCESS_FILES);

/** A process by its first thread, or one thread of it. */
function taskView(kernel: Kernel, process: Process, task: Task, options: ProcOptions): ProcessView {
  // What must not be looked into belongs to the super-user (Linux task_dump_owner).
  const isOpen = process.dumpable === 1;
  return {
    uid: isOpen ? task.credentials.euid : 0,
    gid: isOpen ? task.credentials.egid : 0,
    files: filesOf(task, options),
    thread: (tid) => {
      const thread = kernel.tasks.get(tid) ?? (process.status !== undefined && tid === process.pid ? task : undefined);
      return thread?.process === process ? taskView(kernel, process, thread, options) : undefined;
    },
    mayInspect: () => mayInspect(options.current(), task),
    exe: () => (task.state === 'dead' ? undefined : process.image?.place),
    cwd: () => living(task).fs.cwd,
    root: () => living(task).fs.root,
    pathOf: (place) => pathOf(place, task.fs.root) ?? place.name,
    fds: () => (task.state === 'dead' ? [] : task.files.open()),
    description: (fd) => (task.state !== 'dead' && task.files.has(fd) ? task.files.get(fd) : undefined),
    descriptorInfo: (fd) => (task.state !== 'dead' && task.files.has(fd) ? descriptorText(task, fd) : undefined),
    mappedFiles: () => mappedFiles(task.space),
    mappedFile: (range) => mappedFile(task, range),
    tids: () => (process.status === undefined ? process.tids : [process.pid]),
  };
}

function living(task: Task): Task {
  if (task.state === 'dead') throw errno(ENOENT);
  return task;
}

function filesOf(task: Task, options: ProcOptions): ProcFiles {
  const file = (name: string): ProcFile | ProcJump | undefined => {
    const entry = Object.hasOwn(PROCESS_FILES, name) ? PROCESS_FILES[name] : undefined;
    if (entry === undefined) return undefined;
    if (entry.link !== undefined) return entry.link(task);
    return { mode: entry.mode, open: () => entry.open(task, options.current()) };
  };
  return { names: NAMES, file };
}
