/** ipc(2): the one number behind which all System V calls were, and still are for programs of old. Linux: compat_ksys_ipc. */
import { EINVAL, ENOSYS, errno } from '../abi/errno.ts';
import type { Task } from '../proc/task.ts';
import { type Definition, multiplexer, type Words } from './define.ts';
import { address, choice, int } from './kinds.ts';
import { msgget, msgrcv, msgsnd, oldMsgctl } from './message.ts';
import { oldSemctl, semget, semop, semtimedop32 } from './semaphore.ts';
import { oldShmat, oldShmctl, shmdt, shmget } from './shared-memory.ts';

const CALLS = {
  SEMOP: 1, SEMGET: 2, SEMCTL: 3, SEMTIMEDOP: 4, MSGSND: 11, MSGRCV: 12, MSGGET: 13, MSGCTL: 14, SHMAT: 21, SHMDT: 22, SHMGET: 23, SHMCTL: 24,
};

/** Rearranges the words for the call that is meant, and returns it. */
function unwrap(task: Task, w: Words): Definition {
  const [call, first, second, third, ptr, fifth] = w;
  const version = call >>> 16;
  switch (call & 0xffff) {
    case CALLS.SEMOP: return as(w, semop, first, ptr, second);
    case CALLS.SEMTIMEDOP: return as(w, semtimedop32, first, ptr, second, fifth);
    case CALLS.SEMGET: return as(w, semget, first, second, third);
    case CALLS.SEMCTL:
      if (ptr === 0) throw errno(EINVAL);
      return as(w, oldSemctl, first, second, third, task.user.readU32(ptr));
    case CALLS.MSGSND: return as(w, msgsnd, first, ptr, second, third);
    case CALLS.MSGRCV:
      if ((first | 0) < 0 || (second | 0) < 0) throw errno(EINVAL);
      if (version !== 0) return as(w, msgrcv, first, ptr, second, fifth, third);
      if (ptr === 0) throw errno(EINVAL);
      return as(w, msgrcv, first, task.user.readU32(ptr), second, task.user.readU32(ptr + 4), third);
    case CALLS.MSGGET: return as(w, msgget, first, second);
    case CALLS.MSGCTL: return as(w, oldMsgctl, first, second, ptr);
    case CALLS.SHMAT:
      if (version === 1) throw errno(EINVAL);
      return as(w, oldShmat, first, ptr, second, third);
    case CALLS.SHMDT: return as(w, shmdt, ptr);
    case CALLS.SHMGET: return as(w, shmget, first, second, third);
    case CALLS.SHMCTL: return as(w, oldShmctl, first, second, ptr);
    default: throw errno(ENOSYS);
  }
}

function as(w: Words, call: Definition, ...words: readonly number[]): Definition {
  w.set(words);
  return call;
}

const ipc = multiplexer(
  'ipc', [['call', choice(CALLS)], ['first', int], ['second', int], ['third', int], ['ptr', address], ['fifth', int]], unwrap,
);

export const calls = [ipc];
