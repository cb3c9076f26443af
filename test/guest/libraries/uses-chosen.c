/* Indirect functions in a library and in the program; what the kernel, the C library and the CPU itself say of the CPU agrees. */
#include "saw.h"
#include <cpuid.h>
#include <elf.h>
#include <sys/auxv.h>
int chosen(void);
int call_chosen(void);
int (*chosen_address(void))(void);

static int own_new(void) { return 20; }
static int own_old(void) { return 10; }
static int (*choose_own(void))(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("mmx") ? own_new : own_old;
}
int own(void) __attribute__((ifunc("choose_own")));

int main(int count, char **arguments, char **environment) {
  (void)count, (void)arguments;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0, hardware = 0;
  const char *platform = "";
  while (*environment) environment++;
  for (Elf32_auxv_t *entry = (Elf32_auxv_t *)(environment + 1); entry->a_type != AT_NULL; entry++) {
    if (entry->a_type == AT_HWCAP) hardware = entry->a_un.a_val;
    if (entry->a_type == AT_PLATFORM) platform = (const char *)entry->a_un.a_val;
  }
  __get_cpuid(1, &eax, &ebx, &ecx, &edx);
  saw("library: %d %d, program: %d", chosen(), call_chosen(), own());
  YES(chosen_address() == chosen);
  YES((__builtin_cpu_supports("sse2") != 0) == ((edx >> 26) & 1));
  YES((chosen() == 2) == ((edx >> 26) & 1));
  YES(((hardware ^ edx) & (1 << 0 | 1 << 8 | 1 << 15 | 1 << 23 | 1 << 24 | 1 << 25 | 1 << 26)) == 0);
  YES(!__builtin_cpu_supports("sse3") == !(ecx & 1));
  saw("platform %s", platform);
  return 0;
}
