/** Which of our open descriptors the guest would have had: those we were started with. The rest are node's own. */
import { readdirSync, readlinkSync } from 'node:fs';
import { O_ACCMODE, O_RDONLY } from '../abi/fcntl.ts';
import { descriptorInfo } from '../fs/hostfs.ts';

const STANDARD = 3;

/**
 * Descriptors above the standard ones that were open when we started. node marks all of them close-on-exec, so its own are told by what they are: event
 * queues, pipes of which both ends are ours, and the null device (which a parent that passes on /dev/null loses). Requires: nothing was opened by us yet.
 */
export function inheritedDescriptors(): number[] {
  const open = listed();
  const isPair = (one: Listed): boolean =>
    open.some((other) => other.name === one.name && other.writes !== one.writes && other.fd >= STANDARD);
  return open
    .filter((each) => each.fd >= STANDARD && isForeign(each.name) && !(each.name.startsWith('pipe:') && isPair(each)))
    .map(({ fd }) => fd);
}

interface Listed {
  readonly fd: number;
  readonly name: string;
  readonly writes: boolean;
}

function isForeign(name: string): boolean {
  return !name.startsWith('anon_inode:') && name !== '/dev/null' && !name.startsWith('/proc/');
}

function listed(): Listed[] {
  try {
    return readdirSync('/proc/self/fd').flatMap((text) => describe(Number(text)));
  } catch {
    return [];
  }
}

function describe(fd: number): Listed[] {
  try {
    const name = readlinkSync(`/proc/self/fd/${fd}`, 'latin1');
    return [{ fd, name, writes: ((descriptorInfo(fd)?.flags ?? 0) & O_ACCMODE) !== O_RDONLY }];
  } catch {
    // The listing's own descriptor has gone with it.
    return [];
  }
}
