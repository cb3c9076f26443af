/** Frames above 2 GiB of the engine's memory, where addresses are no more small or positive integers. They are hardly touched, so the test needs no such memory. */
import { expect, test } from 'vitest';
import { FramePool } from '../../mm/frame.ts';
import { AddressSpace } from '../../mm/space.ts';
import { UserMemory } from '../../mm/user.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../abi/mman.ts';
import { fault } from '../../mm/fault.ts';
import { Bench, CODE, INT80, le32 } from '../drivers/engine.ts';

const TWO_GIB_FRAMES = 2 ** 19;
const FAR = 0x9000_0000;

test('the CPU and system calls share frames that lie above 2 GiB', () => {
  const { engine } = new Bench();
  const high = engine.arena.grow(TWO_GIB_FRAMES);
  expect(high?.count).toBe(TWO_GIB_FRAMES);
  const frames = new FramePool({ arena: engine.arena });
  const space = new AddressSpace({ mmu: engine.createMmu(), frames });
  const registers = engine.createRegisters();
  const user = new UserMemory(space);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  space.map({ addr: CODE, size: 4096, prot: PROT_READ | PROT_WRITE | 4, flags });
  space.map({ addr: FAR, size: 8192, prot: PROT_READ | PROT_WRITE, flags });
  engine.onFault = (addr, access) => fault(space, addr, access).kind === 'done';
  // mov eax, [FAR]; inc eax; mov [FAR + 4096], eax; int 0x80
  user.write(CODE, new Uint8Array([0xa1, ...le32(FAR), 0x40, 0xa3, ...le32(FAR + 4096), ...INT80]));
  user.writeU32(FAR, 41);
  expect(space.mmu.translate(FAR, PROT_READ)).toBeGreaterThan(2 ** 31);
  registers.eip = CODE;
  expect(engine.run(registers, space.mmu, 100)).toEqual({ kind: 'syscall' });
  expect(user.readU32(FAR + 4096)).toBe(42);
  space.release();
  expect(frames.inUse).toBe(0);
});
