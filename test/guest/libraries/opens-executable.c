/* Opening a library that needs executable stacks makes them so, the threads' ones too; before that they are not. */
#include "saw.h"
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
static __thread sigjmp_buf back;
static pthread_barrier_t barrier;

static void fault(int signo) { siglongjmp(back, signo); }

static const char *try(void) {
  unsigned char copy[16];
  memcpy(copy, code, sizeof code);
  __asm__ volatile("" : : "r"(copy) : "memory");
  if (sigsetjmp(back, 1) != 0) return "faults";
  return ((int (*)(void))copy)() == 42 ? "runs" : "is wrong";
}

static void *thread(void *unused) {
  (void)unused;
  saw("before: code on a thread's stack %s", try());
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  saw("after: code on the thread's stack %s", try());
  return NULL;
}

static void *late(void *unused) {
  saw("after: code on a new thread's stack %s", try());
  return unused;
}

int main(void) {
  pthread_t other;
  signal(SIGSEGV, fault);
  saw("before: code on the stack %s", try());
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_create(&other, NULL, thread, NULL);
  pthread_barrier_wait(&barrier);
  void *handle = dlopen("./libexecutable.so", RTLD_NOW);
  saw("opened: %s", handle ? "yes" : dlerror());
  saw("after: code on the stack %s", try());
  pthread_barrier_wait(&barrier);
  pthread_join(other, NULL);
  pthread_create(&other, NULL, late, NULL);
  pthread_join(other, NULL);
  return 0;
}
