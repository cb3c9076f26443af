/* One thing that processes do, by name: `process CASE [N]`. Prints nanoseconds a time, by the guest's own clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static double each_child(unsigned n, int executes)
{
    double start = now_ns();
    for (unsigned i = 0; i < n; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (executes) {
                execl(self, self, "nothing", (char *)NULL);
            }
            _exit(executes);
        }
        int status;
        if (waitpid(child, &status, 0) != child || status != 0) {
            exit(1);
        }
    }
    return (now_ns() - start) / n;
}

static double fork_wait(unsigned n) { return each_child(n, 0); }
static double fork_exec_wait(unsigned n) { return each_child(n, 1); }

static void both(int one[2], int other[2])
{
    if (pipe(one) || pipe(other)) {
        exit(1);
    }
}

/* There and back over two pipes: two switches of process a turn. */
static double switch_process(unsigned n)
{
    int there[2], back[2];
    char byte = 0;
    both(there, back);
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1) {
            write(back[1], &byte, 1);
        }
        _exit(0);
    }
    close(there[0]);
    double start = now_ns();
    for (unsigned i = 0; i < n; i++) {
        write(there[1], &byte, 1);
        read(back[0], &byte, 1);
    }
    double spent = (now_ns() - start) / (2 * n);
    close(there[1]);
    waitpid(child, NULL, 0);
    return spent;
}

/* Nanoseconds for 64 KiB from one process to another. */
static double pipe_64k(unsigned n)
{
    static char bytes[65536];
    int ends[2], unused[2];
    both(ends, unused);
    double start = now_ns();
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        while (read(ends[0], bytes, sizeof bytes) > 0) {
        }
        _exit(0);
    }
    close(ends[0]);
    for (unsigned i = 0; i < n; i++) {
        write(ends[1], bytes, sizeof bytes);
    }
    close(ends[1]);
    waitpid(child, NULL, 0);
    return (now_ns() - start) / n;
}

static double nothing(unsigned n) { return n; }

static const struct {
    const char *name;
    double (*run)(unsigned);
    unsigned n;
} cases[] = {
    { "nothing", nothing, 0 },
    { "fork-wait", fork_wait, 3000 },
    { "fork-exec-wait", fork_exec_wait, 500 },
    { "switch", switch_process, 50000 },
    { "pipe-64K", pipe_64k, 5000 },
};

int main(int argc, char **argv)
{
    self = argv[0];
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) == 0) {
            double figure = cases[i].run(argc > 2 ? atoi(argv[2]) : cases[i].n);
            if (figure > 0) {
                printf("%.1f\n", figure);
            }
            return 0;
        }
    }
    fprintf(stderr, "usage: process CASE [N]\n");
    return 2;
}
