/** What statfs says of a file system's kind. Linux: include/uapi/linux/magic.h. */
export const ANON_INODE_FS_MAGIC = 0x0904_1934,
  DEVPTS_SUPER_MAGIC = 0x1cd1,
  MQUEUE_MAGIC = 0x1980_0202,
  PIPEFS_MAGIC = 0x5049_5045,
  PROC_SUPER_MAGIC = 0x9fa0,
  SOCKFS_MAGIC = 0x534f_434b,
  SYSFS_MAGIC = 0x6265_6572,
  TMPFS_MAGIC = 0x0102_1994;
