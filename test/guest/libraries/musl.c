/* A program for musl: libraries with thread-local variables and with relocations in their text, opened again by name; threads; standard output. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int use(int n);
int bump(void);
const char *word(int n);
static __thread int own = 3;

static void *thread(void *argument) {
  int n = *(int *)argument;
  for (int i = 0; i < 100; i++) own += use(n);
  static int results[4];
  results[n] = own;
  return &results[n];
}

int main(int count, char **arguments) {
  pthread_t threads[4];
  int numbers[4] = {0, 1, 2, 3};
  (void)count, (void)arguments;
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, thread, &numbers[i]);
  for (int i = 0; i < 4; i++) {
    int *result;
    pthread_join(threads[i], (void **)&result);
    printf("thread %d: %d\n", i, *result);
  }
  int (*again)(int) = (int (*)(int))dlsym(dlopen("liblocal.so", RTLD_NOW), "use");
  printf("%d %d %s\n", again == use, bump(), word(1));
  void *nothing = dlopen("./nothing.so", RTLD_NOW);
  printf("%d %s\n", nothing == NULL, strstr(dlerror(), "nothing.so") ? "named" : "not named");
  char *memory = malloc(1 << 20);
  memset(memory, 7, 1 << 20);
  printf("%d %.3f\n", memory[99999], strtod("2.5", NULL) * own);
  free(memory);
  return 0;
}
