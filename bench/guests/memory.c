/* One thing that memory is asked to do, by name: `memory CASE [N]`. Prints nanoseconds a time, by the guest's own clock. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define MB (1024u * 1024u)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static unsigned seed = 1;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static unsigned below(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint64_t)seed * n >> 32;
}

static char *map(void *at, size_t size, int prot, int flags)
{
    char *p = mmap(at, size, prot, flags, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

/* ---- pages */

static double map_touch_unmap(unsigned n)
{
    double start = now_ns();
    for (unsigned i = 0; i < n; i++) {
        char *p = map(NULL, PAGE, RW, ANON);
        *p = 1;
        munmap(p, PAGE);
    }
    return (now_ns() - start) / n;
}

static double touch_each(char *p, unsigned pages, int random)
{
    double start = now_ns();
    for (unsigned i = 0; i < pages; i++) {
        p[(random ? below(pages) : i) * PAGE] = 1;
    }
    return (now_ns() - start) / pages;
}

static double first_touch(unsigned mb) { return touch_each(map(NULL, mb * MB, RW, ANON), mb * 256, 0); }
static double random_first_touch(unsigned mb) { return touch_each(map(NULL, mb * MB, RW, ANON), mb * 256, 1); }

static double touch_again(unsigned mb)
{
    char *p = map(NULL, mb * MB, RW, ANON);
    touch_each(p, mb * 256, 0);
    madvise(p, mb * MB, MADV_DONTNEED);
    return touch_each(p, mb * 256, 0);
}

static double reserve(unsigned n)
{
    double start = now_ns();
    for (unsigned i = 0; i < n; i++) {
        char *p = map(NULL, 2560u * MB, PROT_NONE, ANON | MAP_NORESERVE);
        mprotect(p + 1024 * MB, PAGE, RW);
        p[1024 * MB] = 1;
        munmap(p, 2560u * MB);
    }
    return (now_ns() - start) / n;
}

/* ---- files */

static char *file(unsigned mb)
{
    char name[] = "/tmp/seg386-bench-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    if (fd < 0 || ftruncate(fd, mb * MB)) {
        exit(1);
    }
    return mmap(NULL, mb * MB, RW, MAP_SHARED, fd, 0);
}

static double sync_dirty(unsigned mb)
{
    char *p = file(mb);
    memset(p, 1, mb * MB);
    double start = now_ns();
    msync(p, mb * MB, MS_SYNC);
    return (now_ns() - start) / (mb * 256);
}

static double read_cached(unsigned mb)
{
    char *p = file(mb);
    volatile char sum = 0;
    memset(p, 1, mb * MB);
    char *again = mremap(p, 0, mb * MB, MREMAP_MAYMOVE);
    double start = now_ns();
    for (unsigned i = 0; i < mb * 256; i++) {
        sum += again[i * PAGE];
    }
    return (now_ns() - start) / (mb * 256);
}

/* ---- many areas: every second page, one area each */

static char *areas(unsigned n)
{
    char *p = map(NULL, n * 2 * PAGE, PROT_NONE, ANON | MAP_NORESERVE);
    munmap(p, n * 2 * PAGE);
    for (unsigned i = 0; i < n; i++) {
        map(p + i * 2 * PAGE, PAGE, RW, ANON | MAP_FIXED);
    }
    return p;
}

static double areas_map(unsigned n)
{
    char *p = areas(n);
    double start = now_ns();
    for (int i = 0; i < 20000; i++) {
        map(p + below(n) * 2 * PAGE, PAGE, RW, ANON | MAP_FIXED);
    }
    return (now_ns() - start) / 20000;
}

static double areas_protect(unsigned n)
{
    char *p = areas(n);
    double start = now_ns();
    for (int i = 0; i < 20000; i++) {
        mprotect(p + below(n) * 2 * PAGE, PAGE, i & 1 ? RW : PROT_READ);
    }
    return (now_ns() - start) / 20000;
}

static double areas_unmap(unsigned n)
{
    char *p = areas(n);
    double sum = 0;
    for (int round = 0; round < 40; round++) {
        unsigned first = below(n - 500);
        double start = now_ns();
        for (int i = 0; i < 500; i++) {
            munmap(p + (first + i) * 2 * PAGE, PAGE);
        }
        sum += now_ns() - start;
        for (int i = 0; i < 500; i++) {
            map(p + (first + i) * 2 * PAGE, PAGE, RW, ANON | MAP_FIXED);
        }
    }
    return sum / 20000;
}

static double areas_fault(unsigned n)
{
    char *p = areas(n);
    static unsigned at[500];
    double sum = 0;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 500; i++) {
            at[i] = below(n);
        }
        double start = now_ns();
        for (int i = 0; i < 500; i++) {
            p[at[i] * 2 * PAGE] = 1;
        }
        sum += now_ns() - start;
        for (int i = 0; i < 500; i++) {
            madvise(p + at[i] * 2 * PAGE, PAGE, MADV_DONTNEED);
        }
    }
    return sum / 20000;
}

/* ---- processes */

/* Milliseconds, as nanoseconds a call, that the parent waits for fork to come back. */
static double fork_touched(unsigned mb)
{
    char *p = map(NULL, mb * MB, RW, ANON);
    memset(p, 1, mb * MB);
    double sum = 0;
    for (int i = 0; i < 5; i++) {
        double start = now_ns();
        pid_t child = fork();
        if (child == 0) {
            _exit(0);
        }
        sum += now_ns() - start;
        waitpid(child, NULL, 0);
    }
    return sum / 5;
}

static double copy_on_write(unsigned mb)
{
    char *p = map(NULL, mb * MB, RW, ANON);
    memset(p, 1, mb * MB);
    int ends[2];
    if (pipe(ends)) {
        exit(1);
    }
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    double spent = touch_each(p, mb * 256, 0);
    close(ends[1]);
    waitpid(child, NULL, 0);
    return spent;
}

static double shared_counter(unsigned n)
{
    volatile unsigned *counter = (volatile unsigned *)map(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS);
    pid_t child = fork();
    double start = now_ns();
    for (unsigned i = 0; i < n; i++) {
        __sync_fetch_and_add(counter, 1);
    }
    if (child == 0) {
        _exit(0);
    }
    waitpid(child, NULL, 0);
    double spent = (now_ns() - start) / (2 * n);
    return *counter == 2 * n ? spent : -1;
}

static const struct {
    const char *name;
    double (*run)(unsigned);
    unsigned n;
} cases[] = {
    { "map-touch-unmap", map_touch_unmap, 50000 },
    { "first-touch", first_touch, 512 },
    { "touch-again", touch_again, 512 },
    { "random-first-touch", random_first_touch, 512 },
    { "reserve-2.5G", reserve, 5000 },
    { "msync-64M", sync_dirty, 64 },
    { "read-mapped-64M", read_cached, 64 },
    { "areas-map", areas_map, 1000 },
    { "areas-protect", areas_protect, 1000 },
    { "areas-unmap", areas_unmap, 1000 },
    { "areas-fault", areas_fault, 1000 },
    { "fork-256M", fork_touched, 256 },
    { "copy-on-write-64M", copy_on_write, 64 },
    { "shared-counter", shared_counter, 1000000 },
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) == 0) {
            printf("%.1f\n", cases[i].run(argc > 2 ? atoi(argv[2]) : cases[i].n));
            return 0;
        }
    }
    fprintf(stderr, "usage: memory CASE [N]\n");
    return 2;
}
