/** The host's terminal as the guest's ioctls reach it. node has no termios: stty, which every Linux has, reads and sets them. */
import { isatty } from 'node:tty';
import { NCCS, type Termios, type WindowSize } from '../abi/ioctl.ts';
import { runTool } from '../fs/hostfs.ts';
import type { TerminalPort } from '../fs/tty.ts';

const UNKNOWN_SIZE: WindowSize = { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };

/** The terminal behind the first of our standard streams that is one. */
export function hostTerminal(): TerminalPort | undefined {
  const fd = [0, 1, 2].find((each) => isatty(each));
  return fd === undefined ? undefined : (opened = new SttyTerminal(fd));
}

/** The terminal as it was before the guest changed its modes: for guests that cannot bring them back themselves any more, and when we fail. */
export function restoreTerminal(): void {
  opened?.restore();
}

/** The one terminal of this process. */
let opened: SttyTerminal | undefined;

class SttyTerminal implements TerminalPort {
  private readonly fd: number;
  /** As the terminal was when it was first looked at: how many characters stty prints. */
  private saved: string | undefined;
  private isChanged = false;

  constructor(fd: number) {
    this.fd = fd;
  }

  attributes(): Termios | undefined {
    const text = this.stty(['-g']);
    const words = text
      ?.trim()
      .split(':')
      .map((word) => Number.parseInt(word, 16));
    if (words === undefined || words.length < 5 || words.some(Number.isNaN)) return undefined;
    this.saved ??= text?.trim();
    const [c_iflag, c_oflag, c_cflag, c_lflag, ...codes] = words;
    return { c_iflag, c_oflag, c_cflag, c_lflag, c_line: 0, c_cc: Array.from({ length: NCCS }, (_, i) => codes[i] ?? 0) };
  }

  setAttributes({ c_iflag, c_oflag, c_cflag, c_lflag, c_cc }: Termios): void {
    const saved = this.saved ?? (this.attributes(), this.saved);
    const count = (saved?.split(':').length ?? 0) - 4;
    if (count <= 0) return;
    this.isChanged = true;
    // stty insists on as many characters as it prints itself.
    const codes = Array.from({ length: count }, (_, i) => c_cc[i] ?? 0);
    this.stty([[c_iflag, c_oflag, c_cflag, c_lflag, ...codes].map((word) => word.toString(16)).join(':')]);
  }

  /** Also where we are in the background, from where a terminal's modes are not to be changed: the signal that says so is ignored. */
  restore(): void {
    if (this.isChanged && this.saved !== undefined) runTool('sh', ['-c', `trap '' TTOU; stty ${this.saved}`], this.fd);
    this.isChanged = false;
  }

  windowSize(): WindowSize {
    const [ws_row, ws_col] = (this.stty(['size']) ?? '').trim().split(' ').map(Number);
    return ws_row >= 0 && ws_col >= 0 ? { ...UNKNOWN_SIZE, ws_row, ws_col } : UNKNOWN_SIZE;
  }

  setWindowSize({ ws_row, ws_col }: WindowSize): void {
    this.stty(['rows', String(ws_row), 'cols', String(ws_col)]);
  }

  private stty(args: string[]): string | undefined {
    return runTool('stty', args, this.fd);
  }
}
