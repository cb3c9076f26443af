/**
 * What Linux's n_tty does between a terminal's wire and its programs: lines are gathered and edited, echoed, special characters become signals, output
 * is processed. Pure: bytes come in, bytes go out to `wire`, and everybody who waits is woken by its owner. Source: drivers/tty/n_tty.c.
 */
import * as io from '../abi/ioctl.ts';
import { SIGINT, SIGQUIT, SIGTSTP } from '../abi/signal.ts';

/** Bytes of input that are kept for readers; one less than Linux's ring holds. */
const BUFFER = 4095;
const BELL = 7,
  BACKSPACE = 8,
  TAB = 9,
  NEWLINE = 10,
  RETURN = 13,
  SPACE = 32;

/** What a discipline needs of the terminal it serves. */
export interface Wire {
  /** Echo and processed output, on its way to the terminal. */
  output(bytes: readonly number[]): void;
  /** A special character asks for a signal to the foreground group. */
  signal(signo: number): void;
  /** Output that the terminal has not taken yet is thrown away, as signals do. */
  discard(): void;
  /** The user stopped (or started) output. */
  flow(stopped: boolean): void;
}

export class LineDiscipline {
  attributes: io.Termios = io.defaultTermios();
  /** Output is held back by the user (IXON) or by TCXONC. */
  stopped = false;
  private readonly wire: Wire;
  private input: number[] = [];
  /** Bytes of `input` that readers may have: in canonical mode all whole lines. */
  private ready = 0;
  /** Ends of lines in `input`, as counts of bytes up to and with the end. A line ended by VEOF has its mark, which nobody reads. */
  private ends: { at: number; marked: boolean }[] = [];
  private literal = false;
  private erasing = false;
  private column = 0;
  private canonicalColumn = 0;
  private echoed: number[] = [];

  constructor(wire: Wire) {
    this.wire = wire;
  }

  private local(flag: number): boolean {
    return (this.attributes.c_lflag & flag) !== 0;
  }

  private isSpecial(c: number, which: number): boolean {
    const code = this.attributes.c_cc[which];
    return code !== 0 && c === code;
  }

  get canonical(): boolean {
    return this.local(io.ICANON);
  }

  /** Bytes that FIONREAD counts. */
  get available(): number {
    if (!this.canonical) return this.input.length;
    return this.ready - this.ends.filter((end) => end.marked && end.at <= this.ready).length;
  }

  /** Whether a read finds at least so many bytes, or a line. */
  has(least: number): boolean {
    return this.canonical ? this.ends.length > 0 : this.input.length >= Math.max(1, least);
  }

  // ---- Input -------------------------------------------------------------------------------------------------------------------------

  /** Takes bytes from the terminal; returns how many: a full buffer takes no more until somebody reads. */
  receive(bytes: Uint8Array): number {
    let taken = 0;
    for (const c of bytes) {
      if (this.input.length >= BUFFER) {
        // A line that is too long must still be endable: its last byte gives way (n_tty_receive_buf_common).
        if (!this.canonical || this.ends.length > 0) break;
        if (this.input.length > BUFFER) this.input.pop();
      }
      this.character(c);
      taken++;
    }
    this.commitEcho();
    return taken;
  }

  private character(given: number): void {
    const { c_iflag } = this.attributes;
    let c = given;
    if (c_iflag & io.ISTRIP) c &= 0x7f;
    if (c_iflag & io.IUCLC && this.local(io.IEXTEN) && c >= 65 && c <= 90) c += 32;
    if (this.local(io.EXTPROC)) return this.put(c);
    if (this.literal) {
      this.literal = false;
      return this.ordinary(c);
    }
    if (this.flowControl(c) || this.signalled(c)) return;
    if (this.stopped && c_iflag & io.IXON && c_iflag & io.IXANY) this.setStopped(false);
    if (c === RETURN) {
      if (c_iflag & io.IGNCR) return;
      if (c_iflag & io.ICRNL) c = NEWLINE;
    } else if (c === NEWLINE && c_iflag & io.INLCR) c = RETURN;
    if (this.canonical && this.edited(c)) return;
    this.ordinary(c);
  }

  private ordinary(c: number): void {
    if (this.local(io.ECHO)) {
      this.finishErasing();
      if (c === NEWLINE) this.echoRaw(NEWLINE);
      else {
        this.beginLine();
        this.echo(c);
      }
    }
    this.put(c);
  }

  private flowControl(c: number): boolean {
    if ((this.attributes.c_iflag & io.IXON) === 0) return false;
    if (this.isSpecial(c, io.VSTART)) this.setStopped(false);
    else if (this.isSpecial(c, io.VSTOP)) this.setStopped(true);
    else return false;
    return true;
  }

  private signalled(c: number): boolean {
    if (!this.local(io.ISIG)) return false;
    const signo = this.isSpecial(c, io.VINTR)
      ? SIGINT
      : this.isSpecial(c, io.VQUIT)
        ? SIGQUIT
        : this.isSpecial(c, io.VSUSP)
          ? SIGTSTP
          : undefined;
    if (signo === undefined) return false;
    if (!this.local(io.NOFLSH)) {
      this.flushInput();
      this.echoed = [];
      this.wire.discard();
    }
    this.wire.signal(signo);
    if (this.attributes.c_iflag & io.IXON) this.setStopped(false);
    if (this.local(io.ECHO)) this.echo(c);
    this.commitEcho();
    return true;
  }

  /** Characters that edit or end a line. Returns false for those that are part of it. */
  private edited(c: number): boolean {
    const extended = this.local(io.IEXTEN);
    if (this.isSpecial(c, io.VERASE) || this.isSpecial(c, io.VKILL) || (extended && this.isSpecial(c, io.VWERASE))) {
      this.erase(c);
    } else if (extended && this.isSpecial(c, io.VLNEXT)) {
      this.literal = true;
      if (this.local(io.ECHO)) {
        this.finishErasing();
        if (this.local(io.ECHOCTL)) this.echoed.push(94, BACKSPACE);
      }
    } else if (extended && this.local(io.ECHO) && this.isSpecial(c, io.VREPRINT)) {
      this.finishErasing();
      this.echo(c);
      this.echoRaw(NEWLINE);
      for (const kept of this.input.slice(this.ready)) this.echo(kept);
    } else if (c === NEWLINE) {
      if (this.local(io.ECHO | io.ECHONL)) this.echoRaw(NEWLINE);
      this.endLine(c, false);
    } else if (this.isSpecial(c, io.VEOF)) {
      this.endLine(0, true);
    } else if (this.isSpecial(c, io.VEOL) || (extended && this.isSpecial(c, io.VEOL2))) {
      if (this.local(io.ECHO)) {
        this.beginLine();
        this.echo(c);
      }
      this.endLine(c, false);
    } else return false;
    return true;
  }

  private put(c: number): void {
    this.input.push(c);
    if (!this.canonical) this.ready = this.input.length;
  }

  private endLine(c: number, marked: boolean): void {
    this.input.push(c);
    this.ready = this.input.length;
    this.ends.push({ at: this.ready, marked });
  }

  // ---- Erasing -----------------------------------------------------------------------------------------------------------------------

  private erase(c: number): void {
    if (this.input.length === this.ready) return;
    const whole = this.isSpecial(c, io.VKILL);
    const word = !whole && !this.isSpecial(c, io.VERASE);
    const echoes = this.local(io.ECHO);
    if (whole) {
      if (!echoes) {
        this.input.length = this.ready;
        return;
      }
      if (!this.local(io.ECHOK) || !this.local(io.ECHOKE) || !this.local(io.ECHOE)) {
        this.input.length = this.ready;
        this.finishErasing();
        this.echo(this.attributes.c_cc[io.VKILL]);
        if (this.local(io.ECHOK)) this.echoRaw(NEWLINE);
        return;
      }
    }
    let seenWord = false;
    while (this.input.length > this.ready) {
      let head = this.input.length - 1;
      while (this.continues(this.input[head]) && head > this.ready) head--;
      const first = this.input[head];
      if (this.continues(first)) break;
      if (word) {
        if (isWord(first)) seenWord = true;
        else if (seenWord) break;
      }
      const gone = this.input.splice(head);
      if (echoes) this.echoErased(first, gone, !whole && !word);
      if (!whole && !word) break;
    }
    if (echoes && this.input.length === this.ready) this.finishErasing();
  }

  private echoErased(first: number, gone: readonly number[], single: boolean): void {
    if (this.local(io.ECHOPRT)) {
      if (!this.erasing) {
        this.echoRaw(92);
        this.erasing = true;
      }
      this.echo(first);
      for (const more of gone.slice(1)) this.echoRaw(more);
    } else if (single && !this.local(io.ECHOE)) {
      this.echo(this.attributes.c_cc[io.VERASE]);
    } else if (first === TAB) {
      this.echoErasedTab();
    } else {
      const blank = [BACKSPACE, SPACE, BACKSPACE];
      if (isControl(first) && this.local(io.ECHOCTL)) for (const c of blank) this.echoRaw(c);
      if (!isControl(first) || this.local(io.ECHOCTL)) for (const c of blank) this.echoRaw(c);
    }
  }

  /** Back to where the tab began: as far as what stands before it on the line says. */
  private echoErasedTab(): void {
    let width = 0;
    let afterTab = false;
    for (let i = this.input.length - 1; i >= this.ready; i--) {
      const c = this.input[i];
      if (c === TAB) {
        afterTab = true;
        break;
      }
      if (isControl(c)) width += this.local(io.ECHOCTL) ? 2 : 0;
      else if (!this.continues(c)) width++;
    }
    if (!afterTab) width += this.canonicalColumn;
    for (let n = 8 - (width & 7); n > 0; n--) this.echoRaw(BACKSPACE);
  }

  private finishErasing(): void {
    if (!this.erasing) return;
    this.echoRaw(47);
    this.erasing = false;
  }

  private continues(c: number): boolean {
    return (this.attributes.c_iflag & io.IUTF8) !== 0 && (c & 0xc0) === 0x80;
  }

  // ---- Echo and output ---------------------------------------------------------------------------------------------------------------

  /** Where the line begins on the screen, so that tabs in it can be erased. */
  private beginLine(): void {
    if (this.input.length === this.ready) this.canonicalColumn = this.column;
  }

  private echo(c: number): void {
    if (this.local(io.ECHOCTL) && isControl(c) && c !== TAB) {
      this.echoed.push(94, c ^ 0x40);
      this.column += 2;
    } else this.echoRaw(c);
  }

  private echoRaw(c: number): void {
    if (this.attributes.c_oflag & io.OPOST) this.process(c, this.echoed);
    else this.echoed.push(c);
  }

  private commitEcho(): void {
    if (this.echoed.length === 0 || this.stopped) return;
    this.wire.output(this.echoed);
    this.echoed = [];
  }

  /** A program's output as it goes to the terminal. */
  processed(bytes: Uint8Array): number[] {
    if ((this.attributes.c_oflag & io.OPOST) === 0) return [...bytes];
    const out: number[] = [];
    for (const c of bytes) this.process(c, out);
    return out;
  }

  /** do_output_char. */
  private process(c: number, out: number[]): void {
    const { c_oflag } = this.attributes;
    switch (c) {
      case NEWLINE:
        if (c_oflag & io.ONLRET) this.column = 0;
        if (c_oflag & io.ONLCR) {
          this.canonicalColumn = this.column = 0;
          out.push(RETURN, NEWLINE);
          return;
        }
        this.canonicalColumn = this.column;
        break;
      case RETURN:
        if (c_oflag & io.ONOCR && this.column === 0) return;
        if (c_oflag & io.OCRNL) {
          if (c_oflag & io.ONLRET) this.canonicalColumn = this.column = 0;
          out.push(NEWLINE);
          return;
        }
        this.canonicalColumn = this.column = 0;
        break;
      case TAB: {
        const spaces = 8 - (this.column & 7);
        this.column += spaces;
        if ((c_oflag & io.TABDLY) === io.TABDLY) {
          for (let n = spaces; n > 0; n--) out.push(SPACE);
          return;
        }
        break;
      }
      case BACKSPACE:
        if (this.column > 0) this.column--;
        break;
      case BELL:
        break;
      default:
        if (isControl(c)) break;
        if (!this.continues(c)) this.column++;
        if (c_oflag & io.OLCUC && c >= 97 && c <= 122) {
          out.push(c - 32);
          return;
        }
    }
    out.push(c);
  }

  // ---- Reading -----------------------------------------------------------------------------------------------------------------------

  /** Requires: `has(1)`. Of whole lines one at most; 0 is the end of file that VEOF alone makes. */
  read(into: Uint8Array): number {
    if (!this.canonical) {
      const part = this.input.splice(0, into.length);
      into.set(part);
      this.ready = this.input.length;
      return part.length;
    }
    const { at, marked } = this.ends[0];
    const content = at - (marked ? 1 : 0);
    const moved = Math.min(content, into.length);
    into.set(this.input.slice(0, moved));
    // The mark goes with the bytes before it, so that it is not taken for an end of file of its own.
    const taken = moved === content && marked ? at : moved;
    this.input.splice(0, taken);
    this.ready -= taken;
    for (const end of this.ends) end.at -= taken;
    if (this.ends[0].at === 0) this.ends.shift();
    return moved;
  }

  flushInput(): void {
    this.input = [];
    this.ready = 0;
    this.ends = [];
    this.literal = false;
    this.erasing = false;
  }

  /** New attributes. Between canonical and other modes what was typed already is neither lost nor edited any more (n_tty_set_termios). */
  setAttributes(attributes: io.Termios): void {
    const changed = ((this.attributes.c_lflag ^ attributes.c_lflag) & (io.ICANON | io.EXTPROC)) !== 0;
    const { c_iflag } = this.attributes;
    this.attributes = attributes;
    if (changed) {
      this.ends = this.canonical && this.input.length > 0 ? [{ at: this.input.length, marked: false }] : [];
      this.ready = this.input.length;
      this.literal = false;
      this.erasing = false;
    }
    if (c_iflag & io.IXON && !(attributes.c_iflag & io.IXON)) this.setStopped(false);
  }

  setStopped(stopped: boolean): void {
    if (this.stopped === stopped) return;
    this.stopped = stopped;
    this.wire.flow(stopped);
    this.commitEcho();
  }
}

function isControl(c: number): boolean {
  return c < 32 || c === 127;
}

function isWord(c: number): boolean {
  return (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95 || c >= 0xc0 || c === 0xaa || c === 0xb5;
}
