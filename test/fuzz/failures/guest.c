/*
 * Does with files and memory what can fail, and prints a line for each step: ok, the negative errno, the signal, or that the bytes are wrong.
 * Without a library, so that it needs few pages. build: gcc -m32 -nostdlib -static
 */
#include <stdint.h>

#define PAGE 4096
#define RW 3
enum { EXIT = 1, FORK, READ, WRITE, OPEN, CLOSE, BRK = 45, MUNMAP = 91, FTRUNCATE = 93, WAIT4 = 114, FSYNC = 118, MSYNC = 144, MLOCK = 150, MUNLOCK = 151,
  MREMAP = 163, SIGACTION = 174, PREAD = 180, PWRITE = 181, MMAP2 = 192, MADVISE = 219, FALLOCATE = 324, MEMFD_CREATE = 356, SHMGET = 395, SHMCTL = 396,
  SHMAT = 397, SHMDT = 398 };

static long call(long number, long a, long b, long c, long d, long e, long f) {
  long words[6] = {a, b, c, d, e, f}, result;
  __asm__ volatile(
      "push %%ebp; push %%ebx; mov %2, %%eax; mov %1, %%ebp; mov 0(%%ebp), %%ebx; mov 4(%%ebp), %%ecx; mov 8(%%ebp), %%edx;"
      "mov 12(%%ebp), %%esi; mov 16(%%ebp), %%edi; mov 20(%%ebp), %%ebp; int $0x80; pop %%ebx; pop %%ebp"
      : "=a"(result), "+S"((long *){words}), "+D"(number)
      :
      : "ecx", "edx", "memory");
  return result;
}

/* ---- Lines ---- */

static char line[128];
static int length;
static void text(const char *s) {
  while (*s) line[length++] = *s++;
}
static void number(long v) {
  char digits[12];
  int n = 0;
  if (v < 0) line[length++] = '-', v = -v;
  do digits[n++] = '0' + v % 10;
  while (v /= 10);
  while (n) line[length++] = digits[--n];
}
static void end_line(void) {
  line[length++] = '\n';
  call(WRITE, 1, (long)line, length, 0, 0, 0);
  length = 0;
}
static int failed(long result) {
  return (unsigned long)result > -4096ul;
}
static long step(const char *name, long result) {
  text(name), text(" ");
  if (failed(result)) number(result);
  else text("ok");
  end_line();
  return result;
}

/* ---- Touches ---- */

static void *back[5];
static int caught;
static void on_signal(int signo) {
  caught = signo;
  __builtin_longjmp(back, 1);
}
static void touch(const char *name, volatile char *at, int value, int expected) {
  if (failed((long)at)) return;
  if (__builtin_setjmp(back)) {
    text(name), text(" signal "), number(caught), end_line();
    return;
  }
  char found = *at;
  if (value) *at = value;
  if (found != expected) text(name), text(" wrong "), number(found), end_line();
  else step(name, 0);
}

static char *map(const char *name, int pages, int flags, int fd) {
  return (char *)step(name, call(MMAP2, 0, pages * PAGE, RW, flags, fd, 0));
}

static void deep(int levels) {
  volatile char room[PAGE];
  room[0] = levels;
  if (levels > 0) deep(levels - 1);
  room[1] = room[0];
}

/* The child sees what there was, writes its own, and what is shared. */
static void child(char *own, char *anonymous, char *shared) {
  touch("child file", own + PAGE, 'c', 'o');
  touch("child memory", anonymous + PAGE, 'c', 'a');
  touch("child shared", shared + PAGE, 'c', 's');
  call(EXIT, 7, 0, 0, 0, 0, 0);
}

static void files(int fd, char *own, char *anonymous) {
  /* The letters stay what they are in the first bytes of pages. */
  step("write", call(PWRITE, fd, (long)anonymous + 100, 6000 - 4096, 100, 0, 0));
  step("read", call(PREAD, fd, (long)own + 4 * PAGE + 1, 5000, 4 * PAGE + 1, 0, 0));
  int memory = step("memfd", call(MEMFD_CREATE, (long)"m", 0, 0, 0, 0, 0));
  if (failed(memory)) return;
  step("truncate", call(FTRUNCATE, memory, 3 * PAGE, 0, 0, 0, 0));
  char *at = map("map memfd", 3, 1, memory);
  touch("memfd page", at, 'm', 0);
  step("allocate", call(FALLOCATE, memory, 0, 0, 0, 3 * PAGE, 0));
  step("write memfd", call(PWRITE, memory, (long)"x", 1, 2 * PAGE, 0, 0));
  step("punch", call(FALLOCATE, memory, 3, 0, 0, PAGE, 0));
  if (!failed((long)at)) touch("memfd hole", at, 0, 0);
  call(CLOSE, memory, 0, 0, 0, 0, 0);
}

static void segments(void) {
  int id = step("shmget", call(SHMGET, 0, 2 * PAGE, 0600 | 01000, 0, 0, 0));
  if (failed(id)) return;
  char *at = (char *)step("shmat", call(SHMAT, id, 0, 0, 0, 0, 0));
  step("shm remove", call(SHMCTL, id, 0, 0, 0, 0, 0));
  touch("shm", at, 's', 0);
  if (!failed((long)at)) step("shmdt", call(SHMDT, (long)at, 0, 0, 0, 0, 0));
}

static void work(int fd) {
  char *shared = map("map shared", 6, 1, fd), *own = map("map private", 6, 2, fd), *anonymous = map("map anonymous", 4, 0x22, -1),
       *common = map("map common", 4, 0x21, -1);
  for (int i = 0; i < 4; i++) {
    touch("read shared", shared + i * PAGE, 0, 'f');
    touch("write shared", shared + i * PAGE, 'f', 'f');
    touch("write private", own + i * PAGE, 'o', 'f');
    touch("write anonymous", anonymous + i * PAGE, 'a', 0);
    touch("write common", common + i * PAGE, 's', 0);
  }
  long pid = call(FORK, 0, 0, 0, 0, 0, 0);
  if (pid == 0) child(own, anonymous, common);
  step("fork", pid);
  int status = 0;
  if (!failed(pid)) step("wait", call(WAIT4, pid, (long)&status, 0, 0, 0, 0));
  if (!failed(pid) && status != 7 << 8) text("child status "), number(status), end_line();
  touch("still private", own + PAGE, 0, 'o');
  touch("still its own", anonymous + PAGE, 0, 'a');
  files(fd, own, anonymous);
  if (!failed((long)anonymous)) {
    long moved = step("move", call(MREMAP, (long)anonymous, 4 * PAGE, 9 * PAGE, 1, 0, 0));
    if (!failed(moved)) {
      touch("moved", (char *)moved + PAGE, 'a', 'a'), touch("grown", (char *)moved + 8 * PAGE, 'g', 0);
      step("lock", call(MLOCK, moved + 4 * PAGE, 2 * PAGE, 0, 0, 0, 0));
      step("unlock", call(MUNLOCK, moved + 4 * PAGE, 2 * PAGE, 0, 0, 0, 0));
      step("populate", call(MADVISE, moved + 5 * PAGE, 2 * PAGE, 23, 0, 0, 0));
      step("drop", call(MADVISE, moved, 2 * PAGE, 4, 0, 0, 0));
      touch("dropped", (char *)moved + PAGE, 0, 0);
    }
  }
  segments();
  long top = call(BRK, 0, 0, 0, 0, 0, 0);
  if (call(BRK, top + 2 * PAGE, 0, 0, 0, 0, 0) != top) touch("heap", (char *)top + PAGE, 'h', 0);
  if (__builtin_setjmp(back)) text("stack signal "), number(caught), end_line();
  else deep(40), step("stack", 0);
  if (!failed((long)shared)) {
    step("msync", call(MSYNC, (long)shared, 6 * PAGE, 4, 0, 0, 0));
    touch("again", shared + 2 * PAGE, 'f', 'f');
    step("fsync", call(FSYNC, fd, 0, 0, 0, 0, 0));
    touch("once more", shared + 3 * PAGE, 'F', 'f');
    step("unmap", call(MUNMAP, (long)shared, 6 * PAGE, 0, 0, 0, 0));
    step("fsync after", call(FSYNC, fd, 0, 0, 0, 0, 0));
  }
}

__attribute__((force_align_arg_pointer, noreturn)) void _start(void) {
  /* A kernel's struct sigaction: SA_NODEFER, no restorer is needed for who never returns. */
  long action[5] = {(long)on_signal, 0x40000000, 0, 0, 0};
  call(SIGACTION, 7, (long)action, 0, 8, 0, 0);
  call(SIGACTION, 11, (long)action, 0, 8, 0, 0);
  int fd = step("open", call(OPEN, (long)"f", 2, 0, 0, 0, 0));
  if (!failed(fd)) work(fd), step("close", call(CLOSE, fd, 0, 0, 0, 0, 0));
  call(EXIT, 0, 0, 0, 0, 0, 0);
  for (;;);
}
