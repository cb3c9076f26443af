/*
 * Executes ELF images on the bare CPU and tells how that ended. The images are hostile: each runs in a child without rights to any system
 * call but exit, with a time limit and without core dumps. Built for the host (the kernel that judges must run i386 programs).
 *
 * In: role (1 byte: 'p' the image is the program, 'i' it is the interpreter `interp` of the file `program`), size (4 bytes), the image.
 * Out, a line each: `E errno` refused, `X status` exited, `S signal` killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) { perror(what); exit(2); }

static int all(int fd, char *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t moved = read(fd, bytes + done, size - done);
    if (moved <= 0) return 0;
    done += moved;
  }
  return 1;
}

static void put(const char *name, const char *bytes, size_t size) {
  unlink(name);
  int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0755);
  if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || close(fd)) die(name);
}

/* i386 programs may only exit; the runner's own calls, which are 64-bit, pass. */
static void confine(void) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 2),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog program = {sizeof code / sizeof code[0], code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("seccomp");
}

static void child(int report) {
  struct rlimit none = {0, 0}, second = {1, 1};
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_CPU, &second);
  personality(ADDR_NO_RANDOMIZE);
  int null = open("/dev/null", O_RDWR);
  dup2(null, 0), dup2(null, 1), dup2(null, 2);
  confine();
  char *argv[] = {"program", NULL}, *envp[] = {NULL};
  execve("program", argv, envp);
  int error = errno;
  if (write(report, &error, sizeof error)) _exit(0);
  _exit(0);
}

static void run(void) {
  int ends[2], error, status;
  if (pipe2(ends, O_CLOEXEC)) die("pipe");
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) child(ends[1]);
  close(ends[1]);
  int refused = all(ends[0], (char *)&error, sizeof error);
  close(ends[0]);
  waitpid(pid, &status, 0);
  if (refused) printf("E %d\n", error);
  else if (WIFEXITED(status)) printf("X %d\n", WEXITSTATUS(status));
  else printf("S %d\n", WTERMSIG(status));
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 2 || chdir(argv[1])) die("chdir");
  static char image[1 << 20];
  char role;
  unsigned size;
  while (all(0, &role, 1) && all(0, (char *)&size, 4)) {
    if (size > sizeof image || !all(0, image, size)) die("image");
    put(role == 'i' ? "interp" : "program", image, size);
    run();
  }
  return 0;
}
