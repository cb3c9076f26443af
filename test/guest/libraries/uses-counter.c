/* Uses a library's functions and data, by copy relocation too where it is not position independent. */
#include "saw.h"
#include <dlfcn.h>
#include <link.h>

extern int counter;
int bump(void);
const char *word(int n);

static int show(struct dl_phdr_info *info, size_t size, void *wanted) {
  (void)size;
  if (strstr(info->dlpi_name, "libcounter") == NULL) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    /* Where it was linked to a place of its own, that is where it is. */
    if (header->p_type == PT_LOAD && header->p_vaddr >= 0x40000000) saw("at the place it was linked to: %s", info->dlpi_addr == 0 ? "yes" : "no");
    if (header->p_type == PT_DYNAMIC) {
      for (const ElfW(Dyn) *entry = (void *)(info->dlpi_addr + header->p_vaddr); entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && entry->d_un.d_val & DF_TEXTREL)) saw("relocations in its text");
      }
    }
  }
  ++*(int *)wanted;
  return 0;
}

int main(void) {
  int found = 0;
  int first = bump(), second = bump();
  saw("%d %d %d %s", first, second, counter, word(2));
  counter = 40;
  saw("%d", bump());
  Dl_info info;
  YES(dladdr((void *)bump, &info) != 0);
  dl_iterate_phdr(show, &found);
  saw("found %d times", found);
  return 0;
}
