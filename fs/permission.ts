/** Who may do what with a file by its owner, group and mode bits, and which capabilities go beyond those. Linux: fs/namei.c and fs/attr.c. */
import * as cap from '../abi/capability.ts';
import { R_OK, W_OK, X_OK } from '../abi/fcntl.ts';
import { S_IFDIR, S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_ISVTX, S_IXGRP } from '../abi/stat.ts';
import type { Stat } from './vnode.ts';

/** Who asks. A task's credentials are one. */
export interface Rights {
  readonly fsuid: number;
  readonly fsgid: number;
  readonly groups: readonly number[];
  readonly effective: cap.CapabilitySet;
}

type Owned = Pick<Stat, 'mode' | 'uid' | 'gid'>;

export function hasRight({ effective }: Rights, capability: number): boolean {
  return cap.hasCapability(effective, capability);
}

export function inGroup({ fsgid, groups }: Rights, gid: number): boolean {
  return fsgid === gid || groups.includes(gid);
}

/** Whether `mask` (R_OK, W_OK, X_OK) is allowed. Linux: generic_permission. */
export function permits(rights: Rights, { mode, uid, gid }: Owned, mask: number): boolean {
  const granted = rights.fsuid === uid ? mode >> 6 : inGroup(rights, gid) ? mode >> 3 : mode;
  if ((mask & ~granted & 7) === 0) return true;
  const isDirectory = (mode & S_IFMT) === S_IFDIR;
  const onlyReads = isDirectory ? (mask & W_OK) === 0 : mask === R_OK;
  if (onlyReads && hasRight(rights, cap.CAP_DAC_READ_SEARCH)) return true;
  return (isDirectory || (mask & X_OK) === 0 || (mode & 0o111) !== 0) && hasRight(rights, cap.CAP_DAC_OVERRIDE);
}

/** Whether no look at the file is needed: mode bits do not bind whoever asks. */
export function isUnbound(rights: Rights, isDirectory: boolean, mask: number): boolean {
  return (isDirectory || (mask & X_OK) === 0) && hasRight(rights, cap.CAP_DAC_OVERRIDE);
}

/** Linux: inode_owner_or_capable. */
export function owns(rights: Rights, { uid }: Pick<Stat, 'uid'>): boolean {
  return rights.fsuid === uid || hasRight(rights, cap.CAP_FOWNER);
}

/** In a sticky directory only the owner of it or of the file takes a name away. Linux: check_sticky. */
export function maySever(rights: Rights, directory: Owned, file: Owned): boolean {
  return (directory.mode & S_ISVTX) === 0 || rights.fsuid === file.uid || owns(rights, directory);
}

/** Whether a link at the end of a path may be followed: not others' in a sticky directory for all. Linux: may_follow_link. */
export function mayFollow(rights: Rights, directory: () => Owned, link: Owned): boolean {
  if (rights.fsuid === link.uid) return true;
  const { mode, uid } = directory();
  return (mode & (S_ISVTX | 0o002)) !== (S_ISVTX | 0o002) || uid === link.uid;
}

/** Whether another name may be made for a file: for others' only where nothing could be gained by it. Linux: may_linkat. */
export function mayLink(rights: Rights, file: Owned): boolean {
  if (owns(rights, file)) return true;
  const setsGroup = (file.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  return (file.mode & S_IFMT) === S_IFREG && (file.mode & S_ISUID) === 0 && !setsGroup && permits(rights, file, R_OK | W_OK);
}

/** Whether owner and group may become these; undefined stays. Linux: chown_ok and chgrp_ok. */
export function mayChown(
  rights: Rights,
  { uid, gid }: Pick<Stat, 'uid' | 'gid'>,
  newUid: number | undefined,
  newGid: number | undefined,
): boolean {
  if (hasRight(rights, cap.CAP_CHOWN)) return true;
  if (newUid !== undefined && (rights.fsuid !== uid || newUid !== uid)) return false;
  return newGid === undefined || (rights.fsuid === uid && (newGid === gid || inGroup(rights, newGid)));
}

/** The mode that chmod really sets: nobody makes programs of a group that is not their own. Linux: setattr_copy. */
export function chmodMode(rights: Rights, { gid }: Pick<Stat, 'gid'>, mode: number): number {
  return inGroup(rights, gid) || hasRight(rights, cap.CAP_FSETID) ? mode : mode & ~S_ISGID;
}

/** The mode of a file that was given to somebody else, or written by somebody without CAP_FSETID. Linux: setattr_should_drop_suidgid. */
export function tamedMode(rights: Rights, { mode, gid }: Pick<Stat, 'mode' | 'gid'>): number {
  if ((mode & S_IFMT) === S_IFDIR) return mode;
  const keepsGroup = (mode & S_IXGRP) === 0 && (inGroup(rights, gid) || hasRight(rights, cap.CAP_FSETID));
  return mode & ~S_ISUID & ~(keepsGroup ? 0 : S_ISGID);
}
