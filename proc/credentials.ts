/** Who a task acts as. Immutable: a change makes a new value, so that threads and children may share one. */

export interface Credentials {
  readonly uid: number;
  readonly euid: number;
  readonly suid: number;
  readonly fsuid: number;
  readonly gid: number;
  readonly egid: number;
  readonly sgid: number;
  readonly fsgid: number;
  readonly groups: readonly number[];
}

export function credentialsOf(uid: number, gid: number, groups: readonly number[]): Credentials {
  return { uid, euid: uid, suid: uid, fsuid: uid, gid, egid: gid, sgid: gid, fsgid: gid, groups };
}

/** Whether the task may do what the super-user may. */
export function privileged(credentials: Credentials): boolean {
  return credentials.euid === 0;
}
