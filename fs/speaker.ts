/** Who says something through a socket, as those see it who are told of senders. */
import type { Ucred } from '../abi/socket.ts';

export interface Speaker extends Ucred {
  /** The process itself, for those who want a descriptor of it. */
  readonly process?: object;
}

/** Whom Linux names where nobody wanted to know when it was sent: overflowuid and overflowgid. */
export const UNKNOWN: Speaker = { pid: 0, uid: 65_534, gid: 65_534 };

export function isSameSpeaker(a: Speaker, b: Speaker): boolean {
  return a.pid === b.pid && a.uid === b.uid && a.gid === b.gid;
}
