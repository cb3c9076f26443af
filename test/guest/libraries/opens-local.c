/* Thread-local variables of libraries that are opened while threads run: each thread has its own, fresh again when the library is. */
#include "saw.h"
#include <dlfcn.h>
#include <pthread.h>

static pthread_barrier_t barrier;
static int (*use)(int);
static int *(*address_of_mine)(void);

static void *early(void *argument) {
  int n = *(int *)argument;
  pthread_barrier_wait(&barrier); /* it runs before the library is open */
  pthread_barrier_wait(&barrier);
  static int results[4];
  use(n);
  results[n] = use(n);
  return &results[n];
}

static void open_and_use(const char *name) {
  void *handle = dlopen(name, RTLD_NOW);
  if (handle == NULL) {
    saw("%s", dlerror());
    return;
  }
  use = (int (*)(int))dlsym(handle, "use");
  address_of_mine = (int *(*)(void))dlsym(handle, "address_of_mine");
  int *shown = dlsym(handle, "shown");
  int first = use(1), second = use(1), mine = *address_of_mine();
  saw("%s: %d %d, shown %d, mine %d", name, first, second, *shown, mine);
}

int main(void) {
  pthread_t threads[4];
  int numbers[4] = {0, 1, 2, 3};
  pthread_barrier_init(&barrier, NULL, 5);
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, early, &numbers[i]);
  pthread_barrier_wait(&barrier);
  open_and_use("./liblocal.so");
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 4; i++) {
    int *result;
    pthread_join(threads[i], (void **)&result);
    saw("thread %d: %d", i, *result);
  }
  for (int round = 0; round < 3; round++) {
    void *handle = dlopen("./liblocal.so", RTLD_NOW);
    dlclose(handle);
    dlclose(handle); /* the first one's opening too */
    open_and_use("./liblocal.so");
  }
  open_and_use("./libinitial.so");
  return 0;
}
