/** POSIX access lists as system.posix_acl_ attributes hold them: read only far enough to tell one that mode bits say just as well. */
const VERSION = 2;
const USER_OBJ = 1, GROUP_OBJ = 4, OTHER = 0x20;
const HEADER = 4, ENTRY = 8;

export function isAcl(name: string): boolean {
  return name === 'system.posix_acl_access' || name === 'system.posix_acl_default';
}

/** The permission bits of a list that names nobody but owner, group and others; undefined for all other bytes. */
export function aclMode(bytes: Uint8Array): number | undefined {
  if (bytes.length !== HEADER + 3 * ENTRY) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== VERSION) return undefined;
  const tags = [USER_OBJ, GROUP_OBJ, OTHER];
  let mode = 0;
  for (const [i, tag] of tags.entries()) {
    const permissions = view.getUint16(HEADER + i * ENTRY + 2, true);
    if (view.getUint16(HEADER + i * ENTRY, true) !== tag || permissions > 7) return undefined;
    mode = (mode << 3) | permissions;
  }
  return mode;
}
