/** Terminal and descriptor ioctls, termios and window size. Source: uapi/asm-generic/ioctls.h, termbits.h, termios.h. */
import { array, type Struct, struct, u8, u16, x32 } from './struct.ts';

export const TCGETS = 0x5401,
  TCSETS = 0x5402,
  TCSETSW = 0x5403,
  TCSETSF = 0x5404,
  TCGETA = 0x5405,
  TCSETA = 0x5406,
  TCSETAW = 0x5407,
  TCSETAF = 0x5408;
export const TCSBRK = 0x5409,
  TCXONC = 0x540a,
  TCFLSH = 0x540b,
  TIOCEXCL = 0x540c,
  TIOCNXCL = 0x540d,
  TIOCSCTTY = 0x540e,
  TIOCGPGRP = 0x540f;
export const TIOCSPGRP = 0x5410,
  TIOCOUTQ = 0x5411,
  TIOCSTI = 0x5412,
  TIOCGWINSZ = 0x5413,
  TIOCSWINSZ = 0x5414;
export const FIONREAD = 0x541b,
  FIONBIO = 0x5421,
  TIOCNOTTY = 0x5422,
  TCSBRKP = 0x5425,
  TIOCGSID = 0x5429;
export const TCGETS2 = 0x802c542a,
  TCSETS2 = 0x402c542b,
  TCSETSW2 = 0x402c542c,
  TCSETSF2 = 0x402c542d,
  TIOCGPTN = 0x80045430,
  TIOCSPTLCK = 0x40045431;
export const TIOCPKT = 0x5420,
  TIOCGLCKTRMIOS = 0x5456,
  TIOCSLCKTRMIOS = 0x5457,
  TIOCGETD = 0x5424,
  TIOCSETD = 0x5423,
  TIOCSIG = 0x40045436,
  TIOCVHANGUP = 0x5437,
  TIOCGPKT = 0x80045438,
  TIOCGPTLCK = 0x80045439,
  TIOCGEXCL = 0x80045440,
  TIOCGPTPEER = 0x5441,
  TIOCGDEV = 0x80045432;
/** What the control byte of packet mode says. */
export const TIOCPKT_FLUSHREAD = 1,
  TIOCPKT_FLUSHWRITE = 2,
  TIOCPKT_STOP = 4,
  TIOCPKT_START = 8,
  TIOCPKT_NOSTOP = 16,
  TIOCPKT_DOSTOP = 32;
export const FIONCLEX = 0x5450,
  FIOCLEX = 0x5451,
  FIOASYNC = 0x5452,
  FIOQSIZE = 0x5460;
export const FIGETBSZ = 2,
  FIBMAP = 1,
  FICLONE = 0x40049409,
  FS_IOC_GETFLAGS = 0x80046601,
  RNDGETENTCNT = 0x80045200;

export const NCCS = 19;
/** Indexes in c_cc. */
export const VINTR = 0,
  VQUIT = 1,
  VERASE = 2,
  VKILL = 3,
  VEOF = 4,
  VTIME = 5,
  VMIN = 6,
  VSTART = 8,
  VSTOP = 9,
  VSUSP = 10,
  VEOL = 11;
export const VREPRINT = 12,
  VDISCARD = 13,
  VWERASE = 14,
  VLNEXT = 15,
  VEOL2 = 16;

export const ISIG = 0o1,
  ICANON = 0o2,
  ECHO = 0o10,
  ECHOE = 0o20,
  ECHOK = 0o40,
  ECHONL = 0o100,
  NOFLSH = 0o200,
  TOSTOP = 0o400;
export const ECHOCTL = 0o1000,
  ECHOKE = 0o4000,
  IEXTEN = 0o100000;
export const ECHOPRT = 0o2000,
  EXTPROC = 0o200000;
export const ISTRIP = 0o40,
  IUCLC = 0o1000,
  IXANY = 0o4000,
  IXOFF = 0o10000;
export const OLCUC = 0o2,
  OCRNL = 0o10,
  ONOCR = 0o20,
  ONLRET = 0o40,
  TABDLY = 0o14000;
export const BRKINT = 0o2,
  ICRNL = 0o400,
  INLCR = 0o100,
  IGNCR = 0o200,
  IXON = 0o2000,
  IUTF8 = 0o40000,
  IMAXBEL = 0o20000;
export const OPOST = 0o1,
  ONLCR = 0o4;
export const CS8 = 0o60,
  CREAD = 0o200,
  HUPCL = 0o2000,
  B38400 = 0o17;

export interface Termios {
  c_iflag: number;
  c_oflag: number;
  c_cflag: number;
  c_lflag: number;
  c_line: number;
  c_cc: number[];
}
/** The kernel's struct termios (36 bytes), not glibc's. */
export const termios: Struct<Termios> = struct<Termios>({
  c_iflag: x32,
  c_oflag: x32,
  c_cflag: x32,
  c_lflag: x32,
  c_line: u8,
  c_cc: array(u8, NCCS),
});

export interface WindowSize {
  ws_row: number;
  ws_col: number;
  ws_xpixel: number;
  ws_ypixel: number;
}
export const winsize: Struct<WindowSize> = struct<WindowSize>({ ws_row: u16, ws_col: u16, ws_xpixel: u16, ws_ypixel: u16 });

/** A terminal as the kernel initialises it. */
export function defaultTermios(): Termios {
  const c_cc = [3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0xf, 0x17, 0x16, 0, 0, 0];
  return {
    c_iflag: ICRNL | IXON,
    c_oflag: OPOST | ONLCR,
    c_cflag: B38400 | CS8 | CREAD,
    c_lflag: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
    c_line: 0,
    c_cc,
  };
}
