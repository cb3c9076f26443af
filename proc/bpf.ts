/** Classic BPF: the checks of a program, and its run; over one record of words, as far as seccomp allows it. Linux: bpf_check_classic, seccomp_check_filter. */
import { assert } from '../abi/assert.ts';
import { BPF, BPF_MEMWORDS, SECCOMP_DATA_SIZE, type SockFilter } from '../abi/seccomp.ts';

const { LD, LDX, ST, STX, ALU, JMP, RET, MISC, W, IMM, ABS, MEM, LEN, K, X, A } = BPF;
const OPERATIONS = [BPF.ADD, BPF.SUB, BPF.MUL, BPF.DIV, BPF.OR, BPF.AND, BPF.LSH, BPF.RSH, BPF.XOR];
const COMPARISONS = [BPF.JEQ, BPF.JGT, BPF.JGE, BPF.JSET];
/** What programs of all kinds may have. */
export const COMMON_CODES: readonly number[] = [
  LD | W | LEN,
  LDX | W | LEN,
  LD | IMM,
  LDX | IMM,
  LD | MEM,
  LDX | MEM,
  ST,
  STX,
  RET | K,
  RET | A,
  MISC | BPF.TAX,
  MISC | BPF.TXA,
  ALU | BPF.NEG,
  JMP | BPF.JA,
  ...OPERATIONS.flatMap((operation) => [ALU | operation | K, ALU | operation | X]),
  ...COMPARISONS.flatMap((comparison) => [JMP | comparison | K, JMP | comparison | X]),
];
const CODES: ReadonlySet<number> = new Set([LD | W | ABS, ...COMMON_CODES]);

/** Whether the program may run: it ends, stays within itself and its record, and reads no word of its memory that it has not written. */
export function isValidProgram(program: readonly SockFilter[]): boolean {
  return isSound(program, CODES, (k) => k < SECCOMP_DATA_SIZE && k % 4 === 0);
}

/** Whether a program of these codes may run that loads from where `mayLoad` says. */
export function isSound(program: readonly SockFilter[], codes: ReadonlySet<number>, mayLoad: (k: number) => boolean): boolean {
  const last = program.at(-1);
  if (last === undefined || (last.code !== (RET | K) && last.code !== (RET | A))) return false;
  const isGood = (instruction: SockFilter, at: number): boolean => {
    const { code, k } = instruction;
    if (!codes.has(code)) return false;
    return (code & ~(BPF.H | BPF.B)) === (LD | ABS) ? mayLoad(k) : isValid(instruction, program.length - at - 1);
  };
  return program.every(isGood) && readsWhatItWrote(program);
}

/** `left`: how many instructions follow. */
function isValid({ code, jt, jf, k }: SockFilter, left: number): boolean {
  switch (code) {
    case LD | MEM:
    case LDX | MEM:
    case ST:
    case STX:
      return k < BPF_MEMWORDS;
    case ALU | BPF.DIV | K:
    case ALU | BPF.MOD | K:
      return k !== 0;
    case ALU | BPF.LSH | K:
    case ALU | BPF.RSH | K:
      return k < 32;
    case JMP | BPF.JA:
      return k < left;
    default:
      return (code & 7) !== JMP || (jt < left && jf < left);
  }
}

/** Linux: check_load_and_stores. Jumps only go forwards. */
function readsWhatItWrote(program: readonly SockFilter[]): boolean {
  const written = new Uint16Array(program.length + 1).fill(0xffff);
  let valid = 0;
  for (const [at, { code, jt, jf, k }] of program.entries()) {
    valid &= written[at];
    if (code === ST || code === STX) valid |= 1 << k;
    else if ((code === (LD | MEM) || code === (LDX | MEM)) && ((valid >> k) & 1) === 0) return false;
    else if ((code & 7) === JMP) {
      const targets = code === (JMP | BPF.JA) ? [k] : [jt, jf];
      for (const target of targets) written[at + 1 + target] &= valid;
      valid = 0xffff;
    }
  }
  return true;
}

/** What the program returns for the record. Requires: isValidProgram. */
export function runProgram(program: readonly SockFilter[], record: Uint32Array): number {
  return run(program, (code, k, memory) => loaded(code, k, record, memory));
}

/** What a load brings; undefined where it reaches beyond what there is, which ends the program with 0. */
type Load = (code: number, k: number, memory: Uint32Array, a: number, x: number) => number | undefined;

/** What the program returns. Requires: isSound. */
export function run(program: readonly SockFilter[], load: Load): number {
  const memory = new Uint32Array(BPF_MEMWORDS);
  let a = 0,
    x = 0;
  for (let at = 0; at < program.length; at++) {
    const { code, jt, jf, k } = program[at];
    const operand = (code & X) === 0 ? k : x;
    switch (code & 7) {
      case LD:
      case LDX: {
        const word = load(code, k, memory, a, x);
        if (word === undefined) return 0;
        if ((code & 7) === LD) a = word;
        else x = word;
        break;
      }
      case ST:
        memory[k] = a;
        break;
      case STX:
        memory[k] = x;
        break;
      case ALU:
        if (((code & 0xf0) === BPF.DIV || (code & 0xf0) === BPF.MOD) && operand === 0) return 0;
        a = computed(code & 0xf0, a, operand);
        break;
      case JMP:
        if (code === (JMP | BPF.JA)) at += k;
        else at += compared(code & 0xf0, a, operand) ? jt : jf;
        break;
      case RET:
        return code === (RET | K) ? k : a;
      case MISC:
        if (code === (MISC | BPF.TXA)) a = x;
        else x = a;
    }
  }
  assert(false, 'a valid program returns');
}

function loaded(code: number, k: number, record: Uint32Array, memory: Uint32Array): number {
  switch (code & 0xe0) {
    case ABS:
      return record[k >>> 2];
    case MEM:
      return memory[k];
    case LEN:
      return SECCOMP_DATA_SIZE;
    default:
      return k;
  }
}

function computed(operation: number, a: number, operand: number): number {
  switch (operation) {
    case BPF.ADD:
      return (a + operand) >>> 0;
    case BPF.SUB:
      return (a - operand) >>> 0;
    case BPF.MUL:
      return Math.imul(a, operand) >>> 0;
    case BPF.DIV:
      return Math.floor(a / operand);
    case BPF.MOD:
      return a % operand;
    case BPF.OR:
      return (a | operand) >>> 0;
    case BPF.AND:
      return (a & operand) >>> 0;
    case BPF.LSH:
      return (a << operand) >>> 0;
    case BPF.RSH:
      return a >>> operand;
    case BPF.XOR:
      return (a ^ operand) >>> 0;
    default:
      return -a >>> 0;
  }
}

function compared(comparison: number, a: number, operand: number): boolean {
  switch (comparison) {
    case BPF.JEQ:
      return a === operand;
    case BPF.JGT:
      return a > operand;
    case BPF.JGE:
      return a >= operand;
    default:
      return (a & operand) !== 0;
  }
}
