/* delays PROGRAM ARGUMENT...: runs a program with every thread of it and of its children held for a random time at some of its system
   calls, before and after them. What a thread or a process does not wait for then comes in every order. Ends as the program ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_HELD = 4096, MOST_HOLDS = 3000, NEVER = -1 };
enum { SHORT_US = 1000, LONG_US = 40000 };

static struct {
  pid_t thread;
  long until_us;
} held[MOST_HELD];
static int held_count, holds;

static long now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static void go_on(pid_t thread, int signal) {
  ptrace(PTRACE_SYSCALL, thread, 0, (void *)(long)signal);
}

/* One stop in eight is long enough for a context switch, one in a hundred for what a busy machine does. */
static void at_system_call(pid_t thread) {
  int dice = random() % 100;
  if (dice >= 12 || held_count == MOST_HELD || holds++ >= MOST_HOLDS) return go_on(thread, 0);
  held[held_count].thread = thread;
  held[held_count++].until_us = now_us() + random() % (dice == 0 ? LONG_US : SHORT_US);
}

/* Lets go on whose time has come. Returns how long until the next, or NEVER. */
static long release(void) {
  long now = now_us(), next = NEVER;
  for (int i = 0; i < held_count;) {
    long left = held[i].until_us - now;
    if (left <= 0) {
      go_on(held[i].thread, 0);
      held[i] = held[--held_count];
    } else {
      if (next == NEVER || left < next) next = left;
      i++;
    }
  }
  return next;
}

static void end_as(int status) {
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  signal(WTERMSIG(status), SIG_DFL);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, 0);
  kill(getpid(), WTERMSIG(status));
  _exit(255);
}

static void stopped(pid_t thread, int status) {
  int signal = WSTOPSIG(status), event = status >> 16;
  if (signal == (SIGTRAP | 0x80)) return at_system_call(thread);
  if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) ptrace(PTRACE_LISTEN, thread, 0, 0);
  else go_on(thread, event ? 0 : signal);
}

static pid_t start(char **command) {
  int gate[2];
  char byte;
  if (pipe(gate)) exit(125);
  pid_t program = fork();
  if (program == 0) {
    close(gate[1]);
    if (read(gate[0], &byte, 1) != 0) _exit(125);
    close(gate[0]);
    execvp(command[0], command);
    _exit(127);
  }
  close(gate[0]);
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SEIZE, program, 0, options)) {
    perror("delays: ptrace");
    exit(125);
  }
  close(gate[1]);
  return program;
}

int main(int count, char **arguments) {
  if (count < 2) return 125;
  srandom(now_us() ^ getpid() << 16);
  pid_t program = start(arguments + 1);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, 0);
  for (;;) {
    int status;
    pid_t thread;
    while ((thread = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
      if (WIFSTOPPED(status)) stopped(thread, status);
      else if (thread == program) end_as(status);
    }
    long next_us = release();
    struct timespec wait = {next_us / 1000000, next_us % 1000000 * 1000};
    sigtimedwait(&child, 0, next_us == NEVER ? 0 : &wait);
  }
}
