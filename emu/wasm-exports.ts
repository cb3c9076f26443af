/** What emu/unicorn/*.c export. Addresses are unsigned after `>>> 0`; sets are addresses of register sets. */
export interface WasmExports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  seg_init(codeBufferSize: number): number;
  seg_run(budget: number): number;
  seg_budget_at(): number;
  seg_activate(set: number): void;
  seg_set_create(): number;
  seg_set_release(set: number): void;
  seg_set_reset(set: number): void;
  seg_set_copy(to: number, from: number): number;
  seg_set_state(set: number): number;
  seg_get_eflags(set: number): number;
  seg_set_eflags(set: number, eflags: number): void;
  seg_get_selector(set: number, segment: number): number;
  seg_get_base(set: number, segment: number): number;
  seg_load_selector(set: number, segment: number, selector: number): number;
  seg_set_descriptor(set: number, local: number, index: number, low: number, high: number): number;
  seg_get_descriptor(set: number, local: number, index: number): bigint;
  seg_save_fx(set: number, into: number): void;
  seg_restore_fx(set: number, from: number): number;
  seg_save_fpu(set: number, into: number): void;
  seg_restore_fpu(set: number, from: number): void;
  seg_trap_vector(): number;
  seg_trap_error(): number;
  seg_trap_address(): number;
  seg_statistics_at(): number;
  seg_feature(word: number): number;
  seg_pages_allocate(size: number, clear: number): number;
  seg_pages_free(at: number): void;
  seg_code_map_at(): number;
  seg_use_directory(directory: number): void;
  seg_flush_page(addr: number): void;
  seg_flush(): void;
  seg_changed(frame: number): void;
}
