/** The public API: a machine that runs 32-bit i386 Linux programs, each in an address space of Plan 9-style segments. */
export { Errno, errnoName } from './abi/errno.ts';
export type { MapsEntry } from './debug/maps.ts';
export type { SegmentEntry } from './debug/segments.ts';
export type { UmemEntry } from './debug/umem.ts';
export type { CallTracer } from './syscalls/dispatch.ts';
export type { Addr, Access } from './abi/page.ts';
export type { Engine, EngineStatistics } from './emu/engine.ts';
export { Machine, type MachineTracer, type Pause } from './machine.ts';
export type { MachineFiles, MachineParts, ProgramOptions } from './machine-parts.ts';
export { createMachine, type MachineOptions } from './machine-host.ts';
export { INHERIT, ProgramError, type SpawnOptions } from './machine-spawn.ts';
export type { Input, Output } from './machine-streams.ts';
export type { LayoutName } from './mm/placement.ts';
export { type Clock, hostClock, instructionClock, type RandomSource, seededRandom } from './proc/clock.ts';
export type { ExitStatus, Process } from './proc/process.ts';
