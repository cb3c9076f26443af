/** Sockets that reach beyond the machine's loopback (`--net host`): connections, servers and datagrams of the host. */
import { EAGAIN, EALREADY, ECONNRESET, EINPROGRESS, errno } from '../abi/errno.ts';
import { POLLOUT, POLLWRNORM } from '../abi/poll.ts';
import type { Address, HostConnection } from '../fs/network.ts';
import { OuterEnd } from '../fs/outer-end.ts';
import type { LocalSocket } from '../fs/socket.ts';
import { isWait } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { waiting } from './paths.ts';

/** Begins a connection; the call that runs again finds how it ended. */
export function connectOutside(task: Task, socket: LocalSocket, to: Address, far: LocalSocket, nonblocking: boolean): never {
  const { network } = task.kernel.files.sockets;
  socket.reaching = true;
  socket.connecting = true;
  if (socket.multipath !== 'no') socket.multipath = 'refused';
  const connected = (local: Address): void => {
    socket.reaching = false;
    socket.outer = undefined;
    socket.pair(far);
    [socket.local, socket.remote, far.local, far.remote] = [local, to, to, local];
    socket.changes.wakeAll(POLLOUT | POLLWRNORM);
  };
  const broken = (error: number): void => {
    socket.error = error;
    socket.reaching = false;
    socket.outer = undefined;
    if (socket.peer === far) far.close();
    socket.changes.wakeAll();
  };
  const end = new OuterEnd(far, connected, broken);
  const connection = network?.connect(to, end);
  if (connection !== undefined) end.join(connection);
  socket.outer = connection;
  if (nonblocking) throw errno(EINPROGRESS);
  throw awaitOutside(task, socket, false);
}

/** The connection is still on its way. */
export function awaitOutside(task: Task, socket: LocalSocket, nonblocking: boolean): never {
  if (nonblocking) throw errno(EALREADY);
  throw waiting(task, { kind: 'wait', on: socket.changes, timeout_ns: socket.sendTimeout_ns, late: EINPROGRESS });
}

/** Who listens inside listens outside too, at the same port. `make` makes a socket like it. */
export function listenOutside(task: Task, socket: LocalSocket, make: () => LocalSocket): void {
  const { network } = task.kernel.files.sockets;
  if (network === undefined || socket.local === undefined || socket.serving === 'on') return;
  if (typeof socket.serving === 'number') {
    const error = socket.serving;
    socket.serving = undefined;
    socket.listening = false;
    throw errno(error);
  }
  if (socket.serving === undefined) {
    socket.serving = 'starting';
    const settled = (state: 'on' | number): void => {
      socket.serving = state;
      socket.changes.wakeAll();
    };
    socket.outer = network.listen(socket.local, {
      listening: () => settled('on'),
      failed: settled,
      arrived: (connection, from) => arrive(socket, make, connection, from),
    });
  }
  throw block(socket.changes);
}

/** Somebody has come: an end for them, connected to the listener like anybody inside. */
function arrive(listener: LocalSocket, make: () => LocalSocket, connection: HostConnection, from: Address): OuterEnd | undefined {
  const far = make();
  try {
    if (isWait(far.connectTo(listener, make, true))) throw errno(EAGAIN);
  } catch {
    far.close();
    return undefined;
  }
  const near = far.peer as LocalSocket;
  near.remote = from;
  const end = new OuterEnd(far, () => {}, (error) => {
    near.error = error === 0 ? 0 : ECONNRESET;
    far.close();
  });
  end.join(connection);
  return end;
}

/** What the socket's datagrams go out and come in by; undefined where there is nothing outside. `at`: its own port outside too. */
export function outsideDatagrams(task: Task, socket: LocalSocket, at?: Address): LocalSocket['datagrams'] {
  const { network } = task.kernel.files.sockets;
  if (network === undefined || socket.isUnix) return undefined;
  socket.datagrams ??= network.datagrams(socket.family, at, {
    received: (bytes, from) => socket.deliver(bytes, from),
    failed: (error) => {
      socket.error = error;
      socket.changes.wakeAll();
    },
  });
  return socket.datagrams;
}
