/*
 * Runs the programs of system calls that standard input holds, each in a process, a folder and with files of its own, and prints for every call what it
 * returned and which words of its memory it changed. The same runner runs in the jail on the bare CPU and in the emulator. A call that waits is cut short
 * by SIGUSR1 from the parent, so that both end. build: gcc -m32 -static
 */
#define _GNU_SOURCE
#include "raw-call.h"
#include <fcntl.h>
#include <stdarg.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMORY ((uint32_t *)0x20000000)
#define IMAGE 0x1000
#define WHOLE 0x2000
#define READ_ONLY ((void *)0x20020000)
#define MAXIMUM 64
#define SHOWN 24
enum { LITERAL, SLOT, SELF };
enum { PLAIN, PID, ADDRESS };

struct record {
  uint32_t number, result, tags[6], words[6];
};
struct program {
  uint32_t index, count;
  uint8_t image[IMAGE];
};
/* What parent and child share. */
static struct shared {
  volatile uint32_t progress, used;
  char text[1 << 16];
} *shared;
static struct program program;
static struct record records[MAXIMUM];
static uint32_t results[MAXIMUM];

static void say(const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (shared->used < sizeof shared->text - 256) shared->used += vsnprintf(shared->text + shared->used, 256, format, args);
  va_end(args);
}

static void cut_short(int signo) { (void)signo; }

/* Whatever the program has done to it, SIGUSR1 comes through. */
static void keep_interruptible(void) {
  struct { void *handler; uint32_t flags; void *restorer; uint64_t mask; } action = {cut_short, 0, 0, 0};
  uint32_t set_action[6] = {SIGUSR1, (uint32_t)&action, 0, 8};
  uint64_t mask = 1ull << (SIGUSR1 - 1);
  uint32_t unblock[6] = {SIG_UNBLOCK, (uint32_t)&mask, 0, 8};
  call(SYS_rt_sigaction, set_action);
  call(SYS_rt_sigprocmask, unblock);
}

static void at(int fd, int wanted) {
  if (fd < 0) _exit(90);
  if (fd == wanted) return;
  dup2(fd, wanted);
  close(fd);
}

static void write_file(const char *name, const char *text, int mode) {
  int fd = open(name, O_CREAT | O_WRONLY, mode);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) _exit(91);
  close(fd);
}

/* The world of every program: files by these names, descriptors by these numbers. */
static void prepare(void) {
  char folder[32];
  sprintf(folder, "p%u", program.index);
  umask(022);
  if (mkdir(folder, 0755) || chdir(folder)) _exit(92);
  write_file("a", "0123456789abcdefghijklmnopqrstuvwxyz\n0123456789\n", 0644);
  write_file("b", "", 0600);
  mkdir("d", 0755);
  write_file("d/f", "f", 0644);
  if (symlink("a", "s") || symlink("none", "l") || mkfifo("fifo", 0644)) _exit(93);
  int ends[2];
  syscall(SYS_close_range, 0, ~0u, 0);
  at(open("a", O_RDWR), 0);
  at(dup(0), 1), at(dup(0), 2);
  at(open("a", O_RDWR), 3);
  at(open("b", O_RDWR | O_APPEND), 4);
  at(open(".", O_RDONLY | O_DIRECTORY), 5);
  if (pipe(ends)) _exit(94);
  at(ends[0], 6), at(ends[1], 7);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) _exit(94);
  at(ends[0], 8), at(ends[1], 9);
  at(eventfd(3, 0), 10);
  at(epoll_create1(0), 11);
  at(timerfd_create(CLOCK_MONOTONIC, 0), 12);
  at(memfd_create("m", MFD_ALLOW_SEALING), 13);
  if (ftruncate(13, 5000)) _exit(95);
  at(open("a", O_PATH), 14);
  at(socket(AF_UNIX, SOCK_DGRAM, 0), 15);
  at(inotify_init1(0), 16);
  at(socket(AF_INET, SOCK_DGRAM, 0), 17);
  at(socket(AF_INET, SOCK_STREAM, 0), 18);
  close(0), close(1), close(2);
}

static void show(uint32_t k) {
  const struct record *record = &records[k];
  uint32_t result = results[k];
  if (result < (uint32_t)-4095 && record->result == PID) say("%u %s", k, result == (uint32_t)getpid() ? "self" : result == 0 ? "0" : "pid");
  else if (result < (uint32_t)-4095 && record->result == ADDRESS) say("%u address", k);
  else say("%u %d", k, (int)result);
  int shown = 0;
  for (uint32_t i = 0; i < WHOLE / 4 && shown < SHOWN; i++) {
    uint32_t before = i < IMAGE / 4 ? ((uint32_t *)program.image)[i] : 0;
    if (MEMORY[i] != before) say(" %x=%x", i * 4, MEMORY[i]), shown++;
  }
  say("\n");
}

/* Timers expire sooner or later by the machine: what they send kills nobody. */
static void bear_timers(void) {
  static const int sent[] = {SIGALRM, SIGVTALRM, SIGPROF, 34};
  for (int i = 0; i < 4; i++) {
    struct { void *handler; uint32_t flags; void *restorer; uint64_t mask; } action = {SIG_IGN, 0, 0, 0};
    uint32_t words[6] = {sent[i], (uint32_t)&action, 0, 8};
    call(SYS_rt_sigaction, words);
  }
}

static void child(void) {
  prepare();
  bear_timers();
  setpgid(0, 0);
  if (mmap(MEMORY, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MEMORY) _exit(96);
  if (mmap(READ_ONLY, 0x4000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != READ_ONLY) _exit(96);
  for (uint32_t k = 0; k < program.count; k++) {
    memcpy(MEMORY, program.image, IMAGE);
    memset((char *)MEMORY + IMAGE, 0, WHOLE - IMAGE);
    uint32_t words[6];
    for (int i = 0; i < 6; i++) {
      uint32_t tag = records[k].tags[i], word = records[k].words[i];
      words[i] = tag == SLOT ? results[word] : tag == SELF ? (uint32_t)getpid() : word;
    }
    keep_interruptible();
    shared->progress++;
    results[k] = call(records[k].number, words);
    shared->progress++;
    show(k);
  }
}

/*
 * Until the child is over. A call (an odd number of steps has been made) that makes no progress for some ticks is cut short, a program that cannot be is
 * killed. Between calls, however long that takes on a busy machine, nothing happens to it.
 */
static void watch(pid_t pid) {
  uint32_t before = 0;
  int still = 0, status;
  for (pid_t ended; (ended = waitpid(pid, &status, WNOHANG | WUNTRACED)) == 0 || WIFSTOPPED(status);) {
    if (ended == pid) kill(pid, SIGCONT);
    struct timespec tick = {0, 8000000};
    nanosleep(&tick, 0);
    uint32_t now = shared->progress;
    if (now != before || (now & 1) == 0) before = now, still = 0;
    else if (++still >= 100) kill(pid, SIGKILL);
    else if (still >= 3) kill(pid, SIGUSR1);
  }
  if (WIFEXITED(status)) say("exit %d\n", WEXITSTATUS(status));
  else say("signal %d\n", WTERMSIG(status));
}

/* What a program has left behind beyond its descriptors and its folder. */
static void clean_up(void) {
  static const char *const names[] = {"a", "b", "d", "s", "l", "fifo", "none", "new", "sock", "user.x", "tmpfs"};
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) syscall(SYS_mq_unlink, names[i]);
  char room[256];
  for (int index = 0; index < 64; index++) {
    int id = syscall(SYS_semctl, index, 0, 18 | 0x100, room);
    if (id >= 0) syscall(SYS_semctl, id, 0, 0 | 0x100, 0);
    id = syscall(SYS_msgctl, index, 11 | 0x100, room);
    if (id >= 0) syscall(SYS_msgctl, id, 0 | 0x100, 0);
  }
}

static int read_whole(void *into, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t got = read(0, (char *)into + done, size - done);
    if (got <= 0) return 0;
    done += got;
  }
  return 1;
}

/* Standard input begins with how nice to be: as nice as the run that this one is compared with. */
int main(void) {
  int niceness;
  if (!read_whole(&niceness, sizeof niceness)) return 0;
  setpriority(PRIO_PROCESS, 0, niceness);
  struct rlimit files = {64, 64}, size = {1 << 20, 1 << 20}, processes = {60, 60};
  setrlimit(RLIMIT_NOFILE, &files);
  setrlimit(RLIMIT_FSIZE, &size);
  setrlimit(RLIMIT_NPROC, &processes);
  shared = mmap((void *)0x21000000, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  while (read_whole(&program, sizeof program) && read_whole(records, program.count * sizeof *records)) {
    shared->used = 0;
    shared->progress = 0;
    say("program %u\n", program.index);
    pid_t pid = fork();
    if (pid < 0) return 1;
    if (pid == 0) {
      child();
      _exit(0);
    }
    watch(pid);
    clean_up();
    if (write(1, shared->text, shared->used) < 0) return 1;
  }
  return 0;
}
