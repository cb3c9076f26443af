/* Functions that are chosen by what the CPU can do, when they are first bound. */
static int with_sse2(void) { return 2; }
static int without(void) { return 1; }
static int (*choose(void))(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse2") ? with_sse2 : without;
}
int chosen(void) __attribute__((ifunc("choose")));
int call_chosen(void) { return chosen(); }
int (*chosen_address(void))(void) { return chosen; }
