/**
 * Linux i386 error numbers, and the one way a system call reports one: `throw errno(ENOENT)`.
 * Source: Linux include/uapi/asm-generic/errno-base.h and errno.h.
 */

export const EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, ENOEXEC = 8, EBADF = 9, ECHILD = 10;
export const EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, ENOTBLK = 15, EBUSY = 16, EEXIST = 17, EXDEV = 18, ENODEV = 19;
export const ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENFILE = 23, EMFILE = 24, ENOTTY = 25, ETXTBSY = 26, EFBIG = 27, ENOSPC = 28;
export const ESPIPE = 29, EROFS = 30, EMLINK = 31, EPIPE = 32, EDOM = 33, ERANGE = 34, EDEADLK = 35, ENAMETOOLONG = 36, ENOLCK = 37;
export const ENOSYS = 38, ENOTEMPTY = 39, ELOOP = 40, ENOMSG = 42, EIDRM = 43, ENODATA = 61, ETIME = 62, ENOPKG = 65, ENOLINK = 67, EPROTO = 71;
export const EBADMSG = 74, EOVERFLOW = 75, EBADFD = 77, ELIBBAD = 80, EILSEQ = 84, EUSERS = 87, ENOTSOCK = 88, EDESTADDRREQ = 89;
export const EMSGSIZE = 90, EPROTOTYPE = 91, ENOPROTOOPT = 92, EPROTONOSUPPORT = 93, ESOCKTNOSUPPORT = 94, EOPNOTSUPP = 95;
export const EPFNOSUPPORT = 96, EAFNOSUPPORT = 97, EADDRINUSE = 98, EADDRNOTAVAIL = 99, ENETDOWN = 100, ENETUNREACH = 101;
export const ECONNABORTED = 103, ECONNRESET = 104, ENOBUFS = 105, EISCONN = 106, ENOTCONN = 107, ETOOMANYREFS = 109, ETIMEDOUT = 110, ECONNREFUSED = 111;
export const EHOSTUNREACH = 113, EALREADY = 114, EINPROGRESS = 115, ESTALE = 116, EDQUOT = 122, ECANCELED = 125, EOWNERDEAD = 130;
export const ENOTRECOVERABLE = 131, EHWPOISON = 133;

const NAMES: Readonly<Record<string, number>> = {
  EPERM, ENOENT, ESRCH, EINTR, EIO, ENXIO, E2BIG, ENOEXEC, EBADF, ECHILD, EAGAIN, ENOMEM, EACCES, EFAULT, ENOTBLK, EBUSY, EEXIST,
  EXDEV, ENODEV, ENOTDIR, EISDIR, EINVAL, ENFILE, EMFILE, ENOTTY, ETXTBSY, EFBIG, ENOSPC, ESPIPE, EROFS, EMLINK, EPIPE, EDOM, ERANGE,
  EDEADLK, ENAMETOOLONG, ENOLCK, ENOSYS, ENOTEMPTY, ELOOP, ENOMSG, EIDRM, ENODATA, ETIME, ENOPKG, ENOLINK, EPROTO, EBADMSG, EOVERFLOW, EBADFD,
  ELIBBAD, EILSEQ, EUSERS, ENOTSOCK, EDESTADDRREQ, EMSGSIZE, EPROTOTYPE, ENOPROTOOPT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EOPNOTSUPP,
  EPFNOSUPPORT, EAFNOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, ENETDOWN, ENETUNREACH, ECONNABORTED, ECONNRESET, ENOBUFS, EISCONN, ENOTCONN,
  ETOOMANYREFS, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH, EALREADY, EINPROGRESS, ESTALE, EDQUOT, ECANCELED, EOWNERDEAD, ENOTRECOVERABLE, EHWPOISON,
};
const BY_NUMBER = new Map(Object.entries(NAMES).map(([name, code]) => [code, name]));

/** A guest-visible error. Not an Error: no stack is captured, and only `dispatch` and the loader catch it. */
export class Errno {
  /** The positive error number. */
  readonly code: number;
  constructor(code: number) {
    this.code = code;
  }
  /** The symbolic name, as in `ENOENT`. */
  get name(): string {
    return errnoName(this.code);
  }
  toString(): string {
    return this.name;
  }
}

const INSTANCES: Errno[] = [];

/** The error with this number; one shared instance each, so that throwing allocates nothing. */
export function errno(code: number): Errno {
  return (INSTANCES[code] ??= new Errno(code));
}

/** `ENOENT` for 2; `E<number>` where Linux has no such error. */
export function errnoName(code: number): string {
  return BY_NUMBER.get(code) ?? `E${code}`;
}

/** The number of a host error's `code` string (`'ENOENT'`), or EIO where it has no Linux equal. */
export function errnoOfName(name: string): number {
  if (name === 'ENOTSUP') return EOPNOTSUPP;
  if (name === 'EWOULDBLOCK') return EAGAIN;
  return NAMES[name] ?? EIO;
}
