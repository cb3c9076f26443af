/** POSIX message queues: mq_open and its family. The C library takes the slash off the names. Linux: ipc/mqueue.c. */
import { CAP_FOWNER, CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { EACCES, EBADF, EBUSY, EEXIST, EFAULT, EINVAL, EMSGSIZE, ENAMETOOLONG, ENOENT, ENOTSOCK, EPERM, ETIMEDOUT, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { RLIMIT_MSGQUEUE } from '../abi/resource.ts';
import * as signal from '../abi/signal.ts';
import { AF_NETLINK } from '../abi/socket.ts';
import { S_IFREG } from '../abi/stat.ts';
import { array, i32, type Layout, type Struct, struct } from '../abi/struct.ts';
import { isValidTime, type Timespec, timespec32, timespec64, toNanoseconds } from '../abi/time.ts';
import { AnonymousVnode } from '../fs/anonymous.ts';
import { Description } from '../fs/description.ts';
import { netlinkAddressOf } from '../fs/netlink.ts';
import { PosixQueue, QueueFile, type QueueSize } from '../fs/mqueue.ts';
import { LocalSocket } from '../fs/socket.ts';
import { isWait, type Wait } from '../fs/vnode.ts';
import { capable } from '../proc/credentials.ts';
import { sendToProcess } from '../proc/send.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { define } from './define.ts';
import { bytesIn, bytesOut, count, type Fd, fd, fdResult, loadAt, mode, none, path, pointerIn, pointerOut, size, storeAt, structIn, structOut, uint } from './kinds.ts';
import { openAt, openFlags } from './paths.ts';

interface Attributes {
  flags: number; maxmsg: number; msgsize: number; curmsgs: number; reserved: number[];
}
const mqAttr: Struct<Attributes> = struct<Attributes>({ flags: i32, maxmsg: i32, msgsize: i32, curmsgs: i32, reserved: array(i32, 4) });
/** /proc/sys/fs/mqueue: what anybody may ask for, and what CAP_SYS_RESOURCE may. */
const USUAL: QueueSize = { maxmsg: 10, msgsize: 8192 };
const MOST: QueueSize = { maxmsg: 65_536, msgsize: 16 << 20 };
const PRIORITIES = 32_768;
/** Minor number of the file system that they lie in, and its directory's mode. */
const MQUEUE = 19;

function checkName(name: string): void {
  if (name === '') throw errno(ENOENT);
  if (name.includes('/') || name === '.' || name === '..') throw errno(EACCES);
  if (name.length > f.NAME_MAX) throw errno(ENAMETOOLONG);
}

function create(task: Task, name: string, permissions: number, at: number): PosixQueue {
  const { kernel, credentials, process } = task;
  const mayExceed = capable(credentials, CAP_SYS_RESOURCE);
  let wanted: QueueSize = USUAL;
  if (at !== 0) {
    wanted = loadAt(task, at, mqAttr);
    const most = mayExceed ? MOST : USUAL;
    if (wanted.maxmsg <= 0 || wanted.msgsize <= 0 || wanted.maxmsg > most.maxmsg || wanted.msgsize > most.msgsize) throw errno(EINVAL);
  }
  const vnode = new AnonymousVnode({
    label: name, kind: 'file', mode: S_IFREG | (permissions & 0o7777 & ~task.fs.umask), device: MQUEUE, ino: kernel.files.nextInode(),
    now_ns: kernel.clock.realtime(), owner: { uid: credentials.fsuid, gid: credentials.fsgid },
  });
  const queue = new PosixQueue(name, { maxmsg: wanted.maxmsg, msgsize: wanted.msgsize }, vnode);
  kernel.files.queues.add(queue, process.limits[RLIMIT_MSGQUEUE].current, mayExceed);
  return queue;
}

const mqOpen = define({
  name: 'mq_open', args: [['name', path], ['oflag', openFlags], ['mode', mode], ['attr', structIn(mqAttr, 'struct mq_attr')]],
  result: fdResult, support: 'full',
  handler: (task, name, how, permissions, at) => {
    const { queues } = task.kernel.files;
    task.files.free();
    if (at !== 0 && (how & f.O_CREAT) !== 0) loadAt(task, at, mqAttr);
    checkName(name);
    let queue = queues.find(name);
    if (queue === undefined) {
      if ((how & f.O_CREAT) === 0) throw errno(ENOENT);
      queue = create(task, name, permissions, at);
    } else {
      if ((how & (f.O_CREAT | f.O_EXCL)) === (f.O_CREAT | f.O_EXCL)) throw errno(EEXIST);
      if ((how & f.O_ACCMODE) === f.O_ACCMODE) throw errno(EINVAL);
      const wanted = (f.canRead(how) ? f.R_OK : 0) | (f.canWrite(how) ? f.W_OK : 0);
      task.fs.tree.require(task.credentials, queue.vnode, wanted);
    }
    if ((how & f.O_DIRECT) !== 0) throw errno(EINVAL);
    const flags = (how & (f.O_ACCMODE | f.O_NONBLOCK)) | f.O_LARGEFILE;
    return task.files.add(new Description(queues.open(queue), queue.vnode.place, flags), true);
  },
});

const mqUnlink = define({
  name: 'mq_unlink', args: [['name', path]], result: none, support: 'full',
  handler: (task, name) => {
    checkName(name);
    const { queues } = task.kernel.files;
    const owner = queues.find(name)?.vnode.stat().uid;
    // The directory is sticky.
    if (owner !== undefined && owner !== task.credentials.fsuid && !capable(task.credentials, CAP_FOWNER)) throw errno(EPERM);
    queues.unlink(name);
  },
});

function queueAt(task: Task, file: Fd): { readonly description: Description; readonly queue: PosixQueue } {
  const description = openAt(task, file);
  if (!(description.file instanceof QueueFile)) throw errno(EBADF);
  return { description, queue: description.file.queue };
}

/** The time up to which the call waits is one of the wall clock. */
function deadline(task: Task, at: number, layout: Layout<Timespec>): bigint | undefined {
  if (at === 0) return undefined;
  const time = loadAt(task, at, layout);
  if (!isValidTime(time)) throw errno(EINVAL);
  const { clock } = task.kernel;
  const left_ns = toNanoseconds(time) - clock.realtime();
  return clock.monotonic() + left_ns;
}

function waitUntil(task: Task, { on }: Wait, until: bigint | undefined): never {
  if (until !== undefined && until <= task.kernel.clock.monotonic()) throw errno(ETIMEDOUT);
  throw block(on, until);
}

function send(name: string, layout: Layout<Timespec>) {
  return define({
    name, args: [['mqdes', fd], ['msg', bytesIn('len')], ['len', count], ['prio', uint], ['abs_timeout', pointerIn]], result: none, support: 'full',
    handler: (task, file, at, length, priority, timeout) => {
      const until = deadline(task, timeout, layout);
      if (priority >= PRIORITIES) throw errno(EINVAL);
      const { description, queue } = queueAt(task, file);
      if (!f.canWrite(description.flags)) throw errno(EBADF);
      if (length > queue.size.msgsize) throw errno(EMSGSIZE);
      const bytes = task.user.read(at, length).slice();
      const wait = queue.send({ priority, bytes }, description.nonblocking, { pid: task.process.pid, uid: task.credentials.uid });
      if (wait !== undefined) waitUntil(task, wait, until);
    },
  });
}

function receive(name: string, layout: Layout<Timespec>) {
  return define({
    name, args: [['mqdes', fd], ['msg', bytesOut('len')], ['len', count], ['prio', pointerOut], ['abs_timeout', pointerIn]], result: size,
    support: 'full',
    handler: (task, file, at, length, priorityAt, timeout) => {
      const until = deadline(task, timeout, layout);
      const { description, queue } = queueAt(task, file);
      if (!f.canRead(description.flags)) throw errno(EBADF);
      if (length < queue.size.msgsize) throw errno(EMSGSIZE);
      // Brings the pages in before a message is taken: the call may have to run again for them.
      if (task.user.probe(at, queue.size.msgsize, 'write') < queue.size.msgsize) throw errno(EFAULT);
      if (priorityAt !== 0 && task.user.probe(priorityAt, 4, 'write') < 4) throw errno(EFAULT);
      const got = queue.receive(description.nonblocking);
      if (isWait(got)) return waitUntil(task, got, until);
      task.user.write(at, got.bytes);
      if (priorityAt !== 0) task.user.writeU32(priorityAt, got.priority);
      return got.bytes.length;
    },
  });
}

/** Tells one registered: by a signal that says who sent, by its cookie through a netlink socket, or not at all. */
interface Teller {
  fire(sender: { readonly pid: number; readonly uid: number }): void;
  removed(): void;
}

/** Bytes of the cookie that the C library's thread waits for; the last one says what has happened. */
const COOKIE = 32;
const NOTIFY_WOKEN_UP = 1,
  NOTIFY_REMOVED = 2;

/** Linux: do_mq_notify. Whoever has registered is told by the sender's call. */
function notify(task: Task, file: Fd, event: signal.SignalEvent | undefined): void {
  const teller = event === undefined ? undefined : tellerOf(task, event);
  const { queue } = queueAt(task, file);
  const { process, files } = task;
  if (event === undefined || teller === undefined) {
    if (queue.registration?.owner === process) queue.forget();
    return;
  }
  if (queue.registration !== undefined) throw errno(EBUSY);
  queue.registration = { owner: process, files, notify: event.notify, signo: event.signo, pid: process.pid, ...teller };
  files.onClosing('queues', (description) => {
    const closed = description.isPathOnly ? undefined : description.file;
    if (closed instanceof QueueFile && closed.queue.registration?.files === files) closed.queue.forget();
  });
}

function tellerOf(task: Task, { notify: way, signo, value }: signal.SignalEvent): Teller {
  const { kernel, process } = task;
  if (way === signal.SIGEV_THREAD) return threadTeller(task, signo as Fd, value);
  if (way !== signal.SIGEV_NONE && way !== signal.SIGEV_SIGNAL) throw errno(EINVAL);
  if (way === signal.SIGEV_SIGNAL && (signo < 0 || signo > signal.NSIG)) throw errno(EINVAL);
  const fire: Teller['fire'] = ({ pid, uid }) => {
    if (way !== signal.SIGEV_SIGNAL || signo === 0) return;
    sendToProcess(kernel, process, { signo, errno: 0, code: signal.SI_MESGQ, fields: [pid, uid, value] });
  };
  return { fire, removed: () => {} };
}

/** SIGEV_THREAD: a netlink socket that a thread of the C library reads, and the address of the cookie that it knows. */
function threadTeller(task: Task, socketFd: Fd, cookieAt: number): Teller {
  const cookie = task.user.read(cookieAt, COOKIE).slice();
  const { file } = openAt(task, socketFd);
  if (!(file instanceof LocalSocket)) throw errno(ENOTSOCK);
  if (file.family !== AF_NETLINK) throw errno(EINVAL);
  const tell = (what: number): void => {
    const bytes = cookie.slice();
    bytes[COOKIE - 1] = what;
    file.deliver(bytes, netlinkAddressOf(0, 0), { pid: 0, uid: 0, gid: 0 });
  };
  return { fire: () => tell(NOTIFY_WOKEN_UP), removed: () => tell(NOTIFY_REMOVED) };
}

const mqNotify = define({
  name: 'mq_notify', args: [['mqdes', fd], ['sevp', pointerIn]], result: none,
  support: 'full',
  handler: (task, file, at) => notify(task, file, at === 0 ? undefined : loadAt(task, at, signal.sigevent)),
});

const mqGetsetattr = define({
  name: 'mq_getsetattr',
  args: [['mqdes', fd], ['newattr', structIn(mqAttr, 'struct mq_attr')], ['oldattr', structOut(mqAttr, 'struct mq_attr')]], result: none,
  support: 'full',
  handler: (task, file, at, old) => {
    const wanted = at === 0 ? undefined : loadAt(task, at, mqAttr);
    if (wanted !== undefined && (wanted.flags & ~f.O_NONBLOCK) !== 0) throw errno(EINVAL);
    const { description, queue } = queueAt(task, file);
    const before = { ...queue.size, flags: description.flags & f.O_NONBLOCK, curmsgs: queue.count, reserved: [] };
    if (wanted !== undefined) description.setFlags((description.flags & ~f.O_NONBLOCK) | wanted.flags);
    if (old !== 0) storeAt(task, old, mqAttr, before);
  },
});

export const calls = [
  mqOpen, mqUnlink, send('mq_timedsend', timespec32), send('mq_timedsend_time64', timespec64), receive('mq_timedreceive', timespec32),
  receive('mq_timedreceive_time64', timespec64), mqNotify, mqGetsetattr,
];
