/*
 * Keeps the runner away from the machine it runs on: `jail FOLDER RUNNER` runs the program RUNNER as nobody, without rights, in new namespaces for
 * mounts, processes, network, System V IPC and names, with an empty memory file system for a root, and within limits. Needs to be started by root; ends
 * with 120 where the jail cannot be made, and then has run nothing. build: gcc -static
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_JAIL 120
#define NOBODY 65534
#define CHECK(action) \
  if ((action) < 0) { perror(#action); _exit(NO_JAIL); }

static void limit(int which, rlim_t most) {
  struct rlimit both = {most, most};
  CHECK(setrlimit(which, &both));
}

static void raise_loopback(void) {
  struct ifreq request = {0};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  strcpy(request.ifr_name, "lo");
  CHECK(ioctl(fd, SIOCGIFFLAGS, &request));
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  CHECK(ioctl(fd, SIOCSIFFLAGS, &request));
  close(fd);
}

static void copy(const char *from, const char *to) {
  struct stat stat;
  int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_EXCL | O_WRONLY, 0755);
  CHECK(in);
  CHECK(out);
  CHECK(fstat(in, &stat));
  CHECK(sendfile(out, in, 0, stat.st_size));
  close(in), close(out);
}

/* Process 1 of the namespace: ends, and with it everything inside, when the runner does. */
static int run(const char *folder, const char *runner) {
  CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL));
  raise_loopback();
  CHECK(mount("none", "/", 0, MS_REC | MS_PRIVATE, 0));
  CHECK(mount("jail", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64m"));
  CHECK(chdir(folder));
  copy(runner, "runner");
  CHECK(mkdir("w", 0777));
  CHECK(chmod("w", 0777));
  CHECK(chroot("."));
  CHECK(chdir("/w"));
  pid_t pid = fork();
  CHECK(pid);
  if (pid > 0) {
    int status;
    while (waitpid(-1, &status, 0) != pid) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  limit(RLIMIT_CPU, 600);
  limit(RLIMIT_AS, 512 << 20);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_MEMLOCK, 8 << 20);
  CHECK(setgroups(0, 0));
  CHECK(setresgid(NOBODY, NOBODY, NOBODY));
  CHECK(setresuid(NOBODY, NOBODY, NOBODY));
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  execl("/runner", "runner", (char *)0);
  return NO_JAIL;
}

int main(int argc, char **argv) {
  if (argc != 3 || geteuid() != 0) return NO_JAIL;
  CHECK(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS));
  pid_t pid = fork();
  CHECK(pid);
  if (pid == 0) _exit(run(argv[1], argv[2]));
  int status;
  CHECK(waitpid(pid, &status, 0));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
