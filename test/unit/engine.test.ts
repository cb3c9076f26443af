// The engine alone: budget, faults, traps, code that changes, address spaces, register sets, descriptors. Arithmetic is test/fuzz/cpu's.
import { expect, test } from 'vitest';
import { CS, DS, EAX, EBX, ECX, EDI, EDX, ES, ESI, ESP, FS, GS, SS } from '../../emu/engine.ts';
import { Bench, CODE, DATA, INT80, STACK_TOP, le32 } from '../drivers/engine.ts';

const FLAT = {
  limit: 0xfffff,
  seg32Bit: true,
  contents: 0,
  readExecOnly: false,
  limitInPages: true,
  notPresent: false,
  useable: true,
} as const;

// mov ecx, n; L: add eax, 3; mov [DATA], eax; dec ecx; jnz L; int 0x80
const loop = (n: number) => [0xb9, ...le32(n), 0x83, 0xc0, 3, 0xa3, ...le32(DATA), 0x49, 0x75, 0xf5, ...INT80];

test('a system call stops at the int instruction, and counts it', () => {
  const bench = new Bench();
  expect(bench.run([0xb8, ...le32(20), ...INT80])).toEqual({ kind: 'syscall' });
  expect(bench.registers.eip).toBe(CODE + 5);
  expect(bench.engine.executed).toBe(2);
});

test('a run of N instructions stops after exactly N, whatever the blocks', () => {
  const whole = new Bench();
  expect(whole.run(loop(1000)).kind).toBe('syscall');
  const total = whole.engine.executed;
  expect(total).toBe(1 + 4 * 1000 + 1);
  for (const step of [1, 2, 3, 7, 100, 999, total - 1]) {
    const bench = new Bench();
    let ran = 0;
    let trap = bench.run(loop(1000), step);
    for (; trap.kind === 'budget'; trap = bench.go(step)) {
      expect(bench.engine.executed).toBe(step);
      ran += step;
    }
    expect(trap.kind).toBe('syscall');
    expect(ran + bench.engine.executed).toBe(total);
    expect(bench.registers.get(EAX)).toBe(3000);
    expect(bench.word(DATA)).toBe(3000);
  }
});

test('single-stepping shows each instruction boundary, iterations of a repeated string instruction included', () => {
  const bench = new Bench();
  bench.registers.set(ECX, 3);
  bench.registers.set(EDI, DATA);
  const addresses: number[] = [];
  let trap = bench.run([0x90, 0xf3, 0xaa, 0x90, ...INT80], 1);
  for (; trap.kind === 'budget'; trap = bench.go(1)) addresses.push(bench.registers.eip - CODE);
  expect(addresses).toEqual([1, 1, 1, 3, 4]);
  expect(bench.registers.get(ECX)).toBe(0);
});

test('a repeated move copies the same bytes and takes the same count in one run as step by step', () => {
  for (const [opcode, size, distance] of [
    [0xa4, 1, 5000],
    [0xa5, 4, 5000],
    [0xa4, 1, 1],
    [0xa5, 4, 2],
    [0xa5, 4, -3],
    [0xab, 4, 0],
    [0xaa, 1, 0],
  ]) {
    const results = [1, 7, 100_000].map((step) => {
      const bench = new Bench();
      bench.write(
        DATA,
        Uint8Array.from({ length: 0x4000 }, (_, i) => (i * 7) % 251),
      );
      bench.registers.set(EAX, 0x12345678);
      bench.registers.set(ECX, 1500);
      bench.registers.set(ESI, DATA + 0x801);
      bench.registers.set(EDI, DATA + 0x801 + distance);
      let total = 0;
      for (let trap = bench.run([0xf3, opcode, ...INT80], step); ; trap = bench.go(step)) {
        total += bench.engine.executed;
        if (trap.kind !== 'budget') break;
      }
      expect(total).toBe(1501);
      expect(bench.registers.get(EDI)).toBe(DATA + 0x801 + distance + 1500 * size);
      return [0, 1, 2, 3].map((page) =>
        Array.from(bench.engine.arena.bytes.subarray(bench.frame(DATA + page * 4096) * 4096).subarray(0, 4096)),
      );
    });
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  }
});

test('a repeated move that meets a missing page stops at the byte', () => {
  const bench = new Bench();
  bench.registers.set(ECX, 0x5000);
  bench.registers.set(EDI, STACK_TOP - 0x1800);
  expect(bench.run([0xf3, 0xaa])).toEqual({ kind: 'fault', addr: STACK_TOP, access: 'write' });
  expect([bench.registers.get(ECX), bench.registers.get(EDI), bench.engine.executed]).toEqual([0x5000 - 0x1800, STACK_TOP, 0x1800]);
});

test('a refused access stops at its instruction with the registers as they were', () => {
  const bench = new Bench();
  bench.registers.set(EBX, 0x1234);
  // mov eax, 7; push ebx; mov ecx, [0x10]
  expect(bench.run([0xb8, ...le32(7), 0x53, 0x8b, 0x0d, ...le32(0x10)])).toEqual({ kind: 'fault', addr: 0x10, access: 'read' });
  expect(bench.registers.eip).toBe(CODE + 6);
  expect(bench.engine.executed).toBe(2);
  expect(bench.registers.get(ECX)).toBe(0);
  // and again once the cause is gone
  const esp = bench.registers.get(ESP);
  expect(bench.run([0xff, 0x35, ...le32(0x10)])).toEqual({ kind: 'fault', addr: 0x10, access: 'read' });
  expect(bench.registers.get(ESP)).toBe(esp);
});

test('a fetch from a page that may not be executed faults at the branch target, after the branch ran', () => {
  const bench = new Bench();
  expect(bench.run([0xe9, ...le32(0x100 - 5 - CODE)])).toEqual({ kind: 'fault', addr: 0x100, access: 'fetch' });
  expect(bench.registers.eip).toBe(0x100);
  expect(bench.engine.executed).toBe(1);
});

test('instructions before a page end run before the next page is asked for', () => {
  const bench = new Bench();
  const at = STACK_TOP - 2;
  // inc eax; inc eax | next page is not there
  expect(bench.run([0x40, 0x40], 100, at)).toEqual({ kind: 'fault', addr: STACK_TOP, access: 'fetch' });
  expect(bench.registers.get(EAX)).toBe(2);
  // an instruction across the end: the fault is at its start, its address in the missing page
  expect(bench.run([0x40, 0xb8], 100, at)).toEqual({ kind: 'fault', addr: STACK_TOP, access: 'fetch' });
  expect(bench.registers.eip).toBe(STACK_TOP - 1);
});

test('exceptions come with their vector, faults at the instruction and traps after it', () => {
  const bench = new Bench();
  const trap = (code: number[]) => {
    const t = bench.run(code);
    return t.kind === 'exception' ? [t.vector, t.errorCode, bench.registers.eip - CODE] : t;
  };
  expect(trap([0x90, 0x0f, 0x0b])).toEqual([6, 0, 1]); // ud2
  expect(trap([0x90, 0xcc])).toEqual([3, 0, 2]); // int3
  expect(trap([0xf4])).toEqual([13, 0, 0]); // hlt
  expect(trap([0xfa])).toEqual([13, 0, 0]); // cli
  expect(trap([0xe4, 0x10])).toEqual([13, 0, 0]); // in al, 0x10
  expect(trap([0xcd, 0x21])).toEqual([13, 0x21 * 8 + 2, 0]); // int 0x21
  expect(trap([0x31, 0xc9, 0xf7, 0xf1])).toEqual([0, 0, 2]); // div by zero
  expect(trap([0xb8, ...le32(0x7fff_ffff), 0x83, 0xc0, 1, 0xce])).toEqual([4, 0, 9]); // into
  bench.write(DATA, [...le32(1), ...le32(2)]);
  expect(trap([0xb8, ...le32(9), 0x62, 0x05, ...le32(DATA)])).toEqual([5, 0, 5]); // bound
  expect(trap([...Array(15).fill(0x66), 0x90])).toEqual([13, 0, 0]); // 16 bytes
  expect(trap([0x0f, 0x20, 0xc0])).toEqual([13, 0, 0]); // mov eax, cr0
  expect(trap([0x0f, 0x01, 0x15, ...le32(DATA)])).toEqual([13, 0, 0]); // lgdt
});

test('the trap flag traps after each instruction', () => {
  const bench = new Bench();
  bench.registers.eflags = 0x302;
  const trap = bench.run([0x40, 0x40, ...INT80]);
  expect(trap).toEqual({ kind: 'exception', vector: 1, errorCode: 0 });
  expect(bench.registers.eip).toBe(CODE + 1);
});

test('with the alignment flag a misaligned access is an alignment check', () => {
  const bench = new Bench();
  bench.registers.eflags = 0x40202;
  expect(bench.run([0xa1, ...le32(DATA + 1), ...INT80])).toEqual({ kind: 'exception', vector: 17, errorCode: 0 });
  expect(bench.run([0xa1, ...le32(DATA + 4), ...INT80]).kind).toBe('syscall');
  bench.registers.eflags = 0x202;
  expect(bench.run([0xa1, ...le32(DATA + 1), ...INT80]).kind).toBe('syscall');
});

test('code that changes the next instruction sees the change', () => {
  const bench = new Bench();
  // mov byte [L+1], 9; L: mov al, 1; int 0x80
  const code = [0xc6, 0x05, ...le32(CODE + 8), 9, 0xb0, 1, ...INT80];
  bench.run(code);
  expect(bench.registers.get(EAX)).toBe(9);
  // and a loop that changes itself each time round: inc byte [L+1]; L: mov al, 0; dec ecx; jnz
  bench.registers.set(ECX, 50);
  bench.run([0xfe, 0x05, ...le32(CODE + 7), 0xb0, 0, 0x49, 0x75, 0xf5, ...INT80]);
  expect(bench.registers.get(EAX)).toBe(50);
  expect(bench.engine.statistics.blocksInvalidated).toBeGreaterThan(40);
});

test('code written by a system call into a page that ran is what runs next', () => {
  const bench = new Bench();
  for (let value = 1; value < 5; value++) {
    expect(bench.run([0xb0, value, ...INT80]).kind).toBe('syscall');
    expect(bench.registers.get(EAX)).toBe(value);
  }
});

test('a write through one mapping changes code executed through another', () => {
  const bench = new Bench();
  bench.run([0xb0, 1, ...INT80]);
  // DATA page now reaches the frame of the code
  bench.mmu.map(DATA, bench.frame(CODE), 3);
  bench.run([0xc6, 0x05, ...le32(DATA + 1), 77, ...INT80], 100, CODE + 0x100);
  bench.registers.eip = CODE;
  bench.go();
  expect(bench.registers.get(EAX) & 255).toBe(77);
});

test('a page taken away or write-protected is gone at the next access', () => {
  const bench = new Bench();
  const store = [0xa3, ...le32(DATA), ...INT80];
  bench.run(store);
  bench.faults.length = 0;
  bench.run(store);
  expect(bench.faults).toEqual([]);
  bench.mmu.writeProtect({ base: DATA, top: DATA + 4096 });
  bench.run(store);
  expect(bench.faults).toEqual([{ addr: DATA, access: 'write' }]);
  bench.mmu.unmap({ base: CODE, top: STACK_TOP });
  bench.run(store);
  expect(bench.faults.slice(1)).toEqual([
    { addr: CODE, access: 'fetch' },
    { addr: DATA, access: 'write' },
  ]);
  expect(bench.mmu.translate(DATA + 5, 2)).toBe(bench.frame(DATA) * 4096 + 5);
  expect(bench.mmu.translate(DATA + 0x1000, 1)).toBe(-1);
});

test('a store across a page end writes nothing when the second page is refused', () => {
  const bench = new Bench();
  const at = STACK_TOP - 2;
  expect(bench.run([0xc7, 0x05, ...le32(at), ...le32(0x11223344), ...INT80])).toEqual({ kind: 'fault', addr: STACK_TOP, access: 'write' });
  expect(bench.word(STACK_TOP - 4)).toBe(0);
  bench.run([0xc7, 0x05, ...le32(DATA + 0xffe), ...le32(0x11223344), 0xa1, ...le32(DATA + 0xffe), ...INT80]);
  expect(bench.registers.get(EAX)).toBe(0x11223344);
});

test('register sets and spaces take turns on one engine without mixing', () => {
  const bench = new Bench();
  const other = bench.engine.createRegisters();
  const space = bench.engine.createMmu();
  const spare = bench.engine.arena.grow(1);
  if (!spare) throw new Error('no frame');
  bench.engine.arena.words.fill(0, spare.first * 1024, (spare.first + 1) * 1024);
  space.map(CODE, bench.frame(CODE), 5);
  space.map(DATA, spare.first, 3);
  // inc dword [DATA]; fld1; movd xmm0, [DATA]; int 0x80
  const code = [0xff, 0x05, ...le32(DATA), 0xd9, 0xe8, 0x66, 0x0f, 0x6e, 0x05, ...le32(DATA), ...INT80];
  bench.write(CODE, code);
  for (let i = 1; i <= 3; i++) {
    bench.registers.eip = other.eip = CODE;
    bench.go();
    if (i < 3) bench.engine.run(other, space, 100);
  }
  const image = new Uint8Array(512);
  const view = new DataView(image.buffer);
  bench.registers.saveFx(image);
  expect([bench.word(DATA), image[4], view.getUint32(160, true)]).toEqual([3, 0b1110_0000, 3]);
  other.saveFx(image);
  expect([bench.engine.arena.words[spare.first * 1024], image[4], view.getUint32(160, true)]).toEqual([2, 0b1100_0000, 2]);
  other.copyFrom(bench.registers);
  expect(other.eip).toBe(bench.registers.eip);
  other.release();
  space.release();
  expect(bench.run(code).kind).toBe('syscall');
});

test('selectors are the ones of Linux, and a thread area becomes gs', () => {
  const { registers } = new Bench();
  expect([CS, SS, DS, ES, FS, GS].map((s) => registers.selector(s))).toEqual([0x23, 0x2b, 0x2b, 0x2b, 0, 0]);
  expect(registers.loadSelector(GS, 0x63)).toBe(false);
  registers.setThreadArea(12, { ...FLAT, base: DATA });
  expect(registers.threadArea(12)).toEqual({ ...FLAT, base: DATA });
  expect(registers.loadSelector(GS, 0x63)).toBe(true);
  expect(registers.segmentBase(GS)).toBe(DATA);
  registers.setThreadArea(12, { ...FLAT, base: DATA + 16 });
  expect(registers.segmentBase(GS)).toBe(DATA + 16);
  registers.setThreadArea(12, undefined);
  expect(registers.selector(GS)).toBe(0);
});

test('mov to a segment register with a bad selector is a general protection fault with the selector', () => {
  const bench = new Bench();
  bench.registers.set(EAX, 0x4b);
  expect(bench.run([0x8e, 0xd8])).toEqual({ kind: 'exception', vector: 13, errorCode: 0x48 });
  bench.registers.set(EAX, 0x23);
  expect(bench.run([0x8e, 0xd0])).toEqual({ kind: 'exception', vector: 13, errorCode: 0x20 }); // code segment into ss
});

test('local descriptors work like the thread areas', () => {
  const bench = new Bench();
  bench.registers.setLdtEntry(3, { ...FLAT, base: DATA, limit: 7, limitInPages: false });
  bench.write(DATA, le32(0xabcd));
  bench.registers.set(EAX, 3 * 8 + 7);
  expect(bench.run([0x8e, 0xe8, 0x65, 0x8b, 0x1d, ...le32(0), ...INT80]).kind).toBe('syscall');
  expect(bench.registers.get(EBX)).toBe(0xabcd);
  expect(bench.registers.ldtEntry(3)?.limit).toBe(7);
});

test('eflags come back as they were set, less what user mode may not change', () => {
  const { registers } = new Bench();
  registers.eflags = 0xffff_ffff;
  expect(registers.eflags & 0x3000).toBe(0);
  registers.eflags = 0x8d5;
  expect(registers.eflags).toBe(0xad7);
});

test('FXSAVE and FSAVE images go out and in unchanged', () => {
  const bench = new Bench();
  bench.run([0xd9, 0xeb, 0xd9, 0xe8, 0x0f, 0x28, 0xc1, ...INT80]); // fldpi; fld1; movaps
  const image = new Uint8Array(512);
  bench.registers.saveFx(image);
  const other = bench.engine.createRegisters();
  expect(other.restoreFx(image)).toBe(true);
  const again = new Uint8Array(512);
  other.saveFx(again);
  expect(again).toEqual(image);
  const old = new Uint8Array(108);
  bench.registers.saveFpu(old);
  expect(new DataView(old.buffer).getUint16(8, true)).toBe(0x0fff); // registers 6 and 7 are valid
  other.reset();
  other.restoreFpu(old);
  other.saveFpu(old);
  expect(new DataView(old.buffer).getUint16(8, true)).toBe(0x0fff);
  image[26] = 1; // a reserved bit of mxcsr
  expect(other.restoreFx(image)).toBe(false);
});

test('the heap grows while a program runs and nothing breaks', () => {
  const bench = new Bench();
  const before = bench.engine.arena.bytes.buffer;
  const fill = bench.engine.onFault;
  let grown = 0;
  bench.engine.onFault = (addr, access) => {
    if (addr >= DATA && bench.engine.arena.grow(16384)) grown++;
    return fill(addr, access);
  };
  // store to five pages of DATA, then add them up
  const code = [0, 1, 2, 3, 4].flatMap((i) => [0xc7, 0x05, ...le32(DATA + i * 4096), ...le32(i + 1)]);
  const sum = [0, 1, 2, 3, 4].flatMap((i) => [0x03, 0x05, ...le32(DATA + i * 4096)]);
  bench.registers.set(EAX, 0);
  expect(bench.run([...code, ...sum, ...INT80]).kind).toBe('syscall');
  expect(bench.registers.get(EAX)).toBe(15);
  expect(grown).toBe(5);
  expect(bench.engine.arena.bytes.buffer).not.toBe(before);
});

test('a full block buffer is emptied and translation goes on', () => {
  const bench = new Bench({ codeBufferSize: 1 << 20 });
  for (let i = 0; i < 6000; i++) {
    bench.registers.set(EAX, 0);
    expect(bench.run([0xb0, i & 127, 0x40, 0x01, 0xc2, 0x01, 0xc3, ...INT80]).kind).toBe('syscall');
    expect(bench.registers.get(EAX)).toBe((i & 127) + 1);
  }
});

test('rdtsc counts instructions unless a clock is given', () => {
  const bench = new Bench();
  const read = () => {
    bench.run([0x0f, 0x31, ...INT80]);
    return bench.registers.get(EDX) * 2 ** 32 + bench.registers.get(EAX);
  };
  const first = read();
  expect(read() - first).toBe(2);
  bench.engine.onTimestamp = () => 0x1_0000_0002n;
  expect(read()).toBe(0x1_0000_0002);
});

test('cpuid tells what is emulated, and AT_HWCAP is its word', () => {
  const bench = new Bench();
  bench.registers.set(EAX, 1);
  bench.run([0x0f, 0xa2, ...INT80]);
  expect(bench.registers.get(EDX)).toBe(bench.engine.cpu.hwcap);
  expect(bench.registers.get(ECX) & ~(1 << 27)).toBe(bench.engine.cpu.ecx);
  bench.registers.set(EAX, 0);
  bench.run([0x0f, 0xa2, ...INT80]);
  expect(bench.registers.get(ESI)).toBe(0);
});
