/** Where this machine may answer otherwise than the bare CPU's kernel, each with its reason. docs/SYSCALLS.md explains them to users. */
import type { RandomCall } from './programs.ts';

export interface Known {
  readonly reason: string;
  /** The runs stand apart afterwards: the rest of the program is not compared. */
  readonly diverges?: boolean;
  readonly explains: (call: RandomCall, native: string, here: string) => boolean;
}

const EOVERFLOW = '-75',
  EFAULT = '-14';

/** The clocks of CPU time that a process and a thread use. */
const CPU_CLOCKS = [2, 3];

const KNOWN: readonly Known[] = [
  {
    reason: "inode numbers of the bare CPU's sockets and pipes have grown beyond 16 bits",
    explains: ({ definition: { name } }, native) => name.startsWith('old') && native === EOVERFLOW,
  },
  {
    reason: 'the bare CPU has been up for longer: a time since its start is past or is still to come',
    explains: ({ definition: { name }, args }, native, here) =>
      name.startsWith('clock_nanosleep') && (args[1].word & 1) !== 0 && [native, here].every((answer) => ['0', '-4'].includes(answer)),
  },
  {
    reason: 'positions beyond 2^53 are not kept',
    diverges: true,
    explains: ({ definition: { name }, args }, _native, here) => name === '_llseek' && args[1].word >= 0x20_0000 && here === '-22',
  },
  {
    reason: 'recvmmsg takes 1024 messages at most here',
    diverges: true,
    explains: ({ definition: { name } }, _native, here) => name.startsWith('recvmmsg') && here.startsWith('1024'),
  },
  {
    reason: 'getsockopt of IP_OPTIONS returns how many bytes of a length it could not store',
    explains: ({ definition: { name }, args }, native, here) =>
      name === 'getsockopt' && args[2].word === 4 && native === '4' && here === EFAULT,
  },
  {
    reason: 'kcmp orders by addresses within the kernel',
    explains: ({ definition: { name } }, native, here) => name === 'kcmp' && [native, here].every((answer) => ['1', '2'].includes(answer)),
  },
  {
    reason: 'how far clocks of CPU time have come depends on the CPU',
    explains: ({ definition: { name }, args }) => name.startsWith('clock_nanosleep') && CPU_CLOCKS.includes(args[0].word),
  },
];

/** The reason why two answers of a call may differ; undefined where they must not. */
export function explain(call: RandomCall, native: string, here: string): Known | undefined {
  return KNOWN.find(({ explains }) => explains(call, native, here));
}
