/* Opens as many libraries as it is told, uses each, closes them again, twice: the mappings are those of the start afterwards. */
#include "saw.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>

enum { MOST = 400 };
static void *handles[MOST];
static char before[200000], after[200000];

/* Lines of files only: the heap and what malloc has mapped may stay larger. */
static int mappings(char *into) {
  static char line[4096];
  FILE *maps = fopen("/proc/self/maps", "r");
  int number = 0;
  *into = 0;
  for (char *end = into; fgets(line, sizeof line, maps); ) {
    if (strchr(line, '/') == NULL) continue;
    end = stpcpy(end, line);
    number++;
  }
  fclose(maps);
  return number;
}

int main(int count, char **arguments) {
  int number = atoi(arguments[1]), start = mappings(before);
  (void)count;
  for (int round = 0; round < 2; round++) {
    int sum = 0;
    for (int i = 0; i < number; i++) {
      char name[64];
      snprintf(name, sizeof name, "./many/lib%d.so", i);
      handles[i] = dlopen(name, i % 2 ? RTLD_NOW : RTLD_LAZY);
      if (handles[i] == NULL) return saw("%s", dlerror()), 1;
      int (*bump)(void) = (int (*)(void))dlsym(handles[i], "bump");
      for (int times = 0; times <= i; times++) sum += bump();
    }
    int open = mappings(after);
    saw("sum %d, each has as many mappings as the first: %s", sum, (open - start) % number == 0 && open - start >= 2 * number ? "yes" : "no");
    for (int i = 0; i < number; i++) if (dlclose(handles[(i * 7) % number]) != 0) saw("%s", dlerror());
    mappings(after);
    saw("the mappings of files are those of the start: %s", strcmp(before, after) == 0 ? "yes" : "no");
  }
  YES(dlopen("./many/lib0.so", RTLD_NOW | RTLD_NOLOAD) == NULL);
  YES(dlopen("./many/none.so", RTLD_NOW) == NULL);
  saw("%s", dlerror());
  return 0;
}
