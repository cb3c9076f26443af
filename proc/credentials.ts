/** Who a task acts as: users, groups, capabilities. Immutable: a change makes a new value, so that threads and children may share one. */
import * as cap from '../abi/capability.ts';

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
  readonly permitted: cap.CapabilitySet;
  readonly effective: cap.CapabilitySet;
  readonly inheritable: cap.CapabilitySet;
  /** No program can give more than these. */
  readonly bounding: cap.CapabilitySet;
  /** Kept by programs that are not privileged themselves. */
  readonly ambient: cap.CapabilitySet;
  /** SECURE_ bits. */
  readonly securebits: number;
}

/** As a login gives them: all capabilities for root, none for others. */
export function credentialsOf(uid: number, gid: number, groups: readonly number[]): Credentials {
  const held = uid === 0 ? cap.ALL_CAPABILITIES : cap.NO_CAPABILITIES;
  return {
    ...{ uid, euid: uid, suid: uid, fsuid: uid, gid, egid: gid, sgid: gid, fsgid: gid, groups },
    permitted: held,
    effective: held,
    inheritable: cap.NO_CAPABILITIES,
    bounding: cap.ALL_CAPABILITIES,
    ambient: cap.NO_CAPABILITIES,
    securebits: 0,
  };
}

/** Whether the task may use this capability now. */
export function capable({ effective }: Credentials, capability: number): boolean {
  return cap.hasCapability(effective, capability);
}

export function isSecured({ securebits }: Credentials, bit: number): boolean {
  return (securebits & bit) !== 0;
}

/** What access(2) asks with: the real ids, and the capabilities that such a user would have. Linux: access_override_creds. */
export function realCredentials(own: Credentials): Credentials {
  const { uid, gid, permitted } = own;
  const effective = isSecured(own, cap.SECURE_NO_SETUID_FIXUP) ? own.effective : uid === 0 ? permitted : cap.NO_CAPABILITIES;
  return uid === own.fsuid && gid === own.fsgid && effective === own.effective ? own : { ...own, fsuid: uid, fsgid: gid, effective };
}

/** What follows for capabilities from a change of real, effective or saved user id. Linux: cap_emulate_setxuid. */
export function withUserChanged(old: Credentials, next: Credentials): Credentials {
  if (isSecured(old, cap.SECURE_NO_SETUID_FIXUP)) return next;
  let { permitted, effective, ambient } = next;
  const wasRoot = old.uid === 0 || old.euid === 0 || old.suid === 0;
  if (wasRoot && next.uid !== 0 && next.euid !== 0 && next.suid !== 0) {
    if (!isSecured(old, cap.SECURE_KEEP_CAPS)) permitted = effective = cap.NO_CAPABILITIES;
    ambient = cap.NO_CAPABILITIES;
  }
  if (old.euid === 0 && next.euid !== 0) effective = cap.NO_CAPABILITIES;
  if (old.euid !== 0 && next.euid === 0) effective = permitted;
  return { ...next, permitted, effective, ambient };
}

/** What follows for capabilities from a change of the file system's user id. Linux: cap_task_fix_setuid, LSM_SETID_FS. */
export function withFileUserChanged(old: Credentials, next: Credentials): Credentials {
  if (isSecured(old, cap.SECURE_NO_SETUID_FIXUP)) return next;
  if (old.fsuid === 0 && next.fsuid !== 0) return { ...next, effective: next.effective & ~cap.FILE_CAPABILITIES };
  if (old.fsuid !== 0 && next.fsuid === 0) return { ...next, effective: next.effective | (next.permitted & cap.FILE_CAPABILITIES) };
  return next;
}

/** Whether nobody may look into the process any more once `old` has become `next`, and its parent's death tells it nothing. Linux: commit_creds. */
export function hidesProcess(old: Credentials, next: Credentials): boolean {
  const isOther = old.euid !== next.euid || old.egid !== next.egid || old.fsuid !== next.fsuid || old.fsgid !== next.fsgid;
  return isOther || !cap.isSubset(next.permitted, old.permitted);
}

/** What capabilities a file gives to the program in it (security.capability). */
export interface FileCapabilities {
  readonly permitted: cap.CapabilitySet;
  readonly inheritable: cap.CapabilitySet;
  /** They are in force from the first instruction on. */
  readonly effective: boolean;
}

/** The attribute's value as capabilities; undefined where it is none that counts here. Linux: get_vfs_caps_from_disk. */
export function parseFileCapabilities(value: Uint8Array): FileCapabilities | undefined {
  if (value.length < 4) return undefined;
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  const magic = view.getUint32(0, true);
  const revision = (magic & cap.VFS_CAP_REVISION_MASK) >>> 0;
  const size = { [cap.VFS_CAP_REVISION_1]: 12, [cap.VFS_CAP_REVISION_2]: 20, [cap.VFS_CAP_REVISION_3]: 24 }[revision];
  if (size !== value.length) return undefined;
  // Revision 3 is for one user namespace, told by its root's id; there is only the first one here.
  if (revision === cap.VFS_CAP_REVISION_3 && view.getUint32(20, true) !== 0) return undefined;
  const word = (at: number): bigint => (at + 4 <= Math.min(value.length, 20) ? BigInt(view.getUint32(at, true)) : 0n);
  return {
    permitted: (word(4) | (word(12) << 32n)) & cap.ALL_CAPABILITIES,
    inheritable: (word(8) | (word(16) << 32n)) & cap.ALL_CAPABILITIES,
    effective: (magic & cap.VFS_CAP_FLAGS_EFFECTIVE) !== 0,
  };
}

/** The program as far as it decides about who runs it. */
export interface ProgramRights {
  /** Owner and group where set-user-ID and set-group-ID are to be honoured. */
  readonly setUid: number | undefined;
  readonly setGid: number | undefined;
  readonly capabilities: FileCapabilities | undefined;
}

export interface Promotion {
  readonly credentials: Credentials;
  /** AT_SECURE. */
  readonly isSecure: boolean;
  /** Personality flags that make programs easier to attack go. */
  readonly clearsPersonality: boolean;
}

/**
 * The credentials behind an execve; `restrained`: no_new_privs, or places shared with another process, so that nothing may be gained.
 * Undefined: the file's capabilities are more than may be given, and the program cannot do without them (EPERM). Linux: cap_bprm_creds_from_file.
 */
export function promoted(
  old: Credentials,
  program: ProgramRights,
  restrained: 'no' | 'shared' | 'no new privileges',
): Promotion | undefined {
  const fileHas = program.capabilities;
  let euid = program.setUid ?? old.euid;
  let egid = program.setGid ?? old.egid;
  let isEffective = fileHas?.effective ?? false;
  let permitted = fileHas === undefined ? 0n : (old.bounding & fileHas.permitted) | (old.inheritable & fileHas.inheritable);
  if (fileHas?.effective && !cap.isSubset(fileHas.permitted, permitted)) return undefined;
  const isSetuidRoot = old.uid !== 0 && euid === 0;
  if (!isSecured(old, cap.SECURE_NOROOT) && !(fileHas !== undefined && isSetuidRoot)) {
    if (euid === 0 || old.uid === 0) permitted = old.bounding | old.inheritable;
    if (euid === 0) isEffective = true;
  }
  const gained = !cap.isSubset(permitted, old.permitted);
  const isSetId = euid !== old.uid || egid !== old.gid;
  const clearsPersonality = gained || program.setUid !== undefined || program.setGid !== undefined;
  if ((isSetId || gained) && restrained !== 'no') {
    if (restrained === 'no new privileges' || !capable(old, cap.CAP_SETUID)) {
      euid = old.uid;
      egid = old.gid;
    }
    permitted &= old.permitted;
  }
  const ambient = fileHas !== undefined || isSetId ? cap.NO_CAPABILITIES : old.ambient;
  permitted |= ambient;
  const credentials: Credentials = {
    ...old,
    ...{ euid, suid: euid, fsuid: euid, egid, sgid: egid, fsgid: egid, permitted, ambient },
    effective: isEffective ? permitted : ambient,
    securebits: old.securebits & ~cap.SECURE_KEEP_CAPS,
  };
  const isSecure = isSetId || (old.uid !== 0 && (isEffective || !cap.isSubset(permitted, ambient)));
  return { credentials, isSecure, clearsPersonality };
}
