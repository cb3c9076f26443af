/** Capabilities as Linux numbers them, sets of them, and the secure bits. Source: include/uapi/linux/{capability,securebits}.h. */

export const CAP_CHOWN = 0;
export const CAP_DAC_OVERRIDE = 1;
export const CAP_DAC_READ_SEARCH = 2;
export const CAP_FOWNER = 3;
export const CAP_FSETID = 4;
export const CAP_KILL = 5;
export const CAP_SETGID = 6;
export const CAP_SETUID = 7;
export const CAP_SETPCAP = 8;
export const CAP_LINUX_IMMUTABLE = 9;
export const CAP_NET_BIND_SERVICE = 10;
export const CAP_NET_ADMIN = 12;
export const CAP_NET_RAW = 13;
export const CAP_IPC_LOCK = 14;
export const CAP_IPC_OWNER = 15;
export const CAP_SYS_RAWIO = 17;
export const CAP_SYS_CHROOT = 18;
export const CAP_SYS_PTRACE = 19;
export const CAP_SYS_PACCT = 20;
export const CAP_SYS_ADMIN = 21;
export const CAP_SYS_BOOT = 22;
export const CAP_SYS_NICE = 23;
export const CAP_SYS_RESOURCE = 24;
export const CAP_WAKE_ALARM = 35;
export const CAP_SYS_TIME = 25;
export const CAP_SYS_TTY_CONFIG = 26;
export const CAP_MKNOD = 27;
export const CAP_LEASE = 28;
export const CAP_SETFCAP = 31;
export const CAP_MAC_OVERRIDE = 32;
export const CAP_SYSLOG = 34;
export const CAP_CHECKPOINT_RESTORE = 40;
/** The last one that Linux 6 knows. */
export const CAP_LAST = CAP_CHECKPOINT_RESTORE;

/** A set of capabilities: bit n is capability n. */
export type CapabilitySet = bigint;

export const NO_CAPABILITIES: CapabilitySet = 0n;
export const ALL_CAPABILITIES: CapabilitySet = (1n << BigInt(CAP_LAST + 1)) - 1n;

export function setOf(...capabilities: readonly number[]): CapabilitySet {
  return capabilities.reduce((set, capability) => set | (1n << BigInt(capability)), NO_CAPABILITIES);
}

export function hasCapability(set: CapabilitySet, capability: number): boolean {
  return ((set >> BigInt(capability)) & 1n) !== 0n;
}

/** Whether every member of `part` is in `whole`. */
export function isSubset(part: CapabilitySet, whole: CapabilitySet): boolean {
  return (part & ~whole) === 0n;
}

/** What a change of fsuid gives and takes: Linux's CAP_FS_SET. */
export const FILE_CAPABILITIES: CapabilitySet = setOf(
  CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MKNOD, CAP_MAC_OVERRIDE,
);

/** Secure bits: root's program gets nothing for being root's; changes of user change no capability; ... Each has its lock one bit above. */
export const SECURE_NOROOT = 1 << 0;
export const SECURE_NO_SETUID_FIXUP = 1 << 2;
export const SECURE_KEEP_CAPS = 1 << 4;
export const SECURE_KEEP_CAPS_LOCKED = 1 << 5;
export const SECURE_NO_CAP_AMBIENT_RAISE = 1 << 6;
export const SECURE_ALL_BITS = 0x55;
export const SECURE_ALL_LOCKS = 0xaa;

/** The extended attribute security.capability: its revisions' sizes, and the flag that makes a program's capabilities effective at once. */
export const VFS_CAP_REVISION_MASK = 0xff00_0000;
export const VFS_CAP_REVISION_1 = 0x0100_0000;
export const VFS_CAP_REVISION_2 = 0x0200_0000;
export const VFS_CAP_REVISION_3 = 0x0300_0000;
export const VFS_CAP_FLAGS_EFFECTIVE = 1;
