/*
 * Makes the memory calls that standard input lists and prints a line for each: what it returned, what it filled, what signal it raised and where.
 * Addresses are printed by what they lie in, so that two runs compare whose kernels chose differently. The same program runs on the bare CPU and
 * in the emulator; memory-fuzz.ts writes the records. build: gcc -m32 -static
 */
#define _GNU_SOURCE
#include "raw-call.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define ARENA 0x20000000u
#define ARENA_TOP 0x40000000u
/* Below it the kernel's choices are named by their distance from the anchor; this far. */
#define NAMED_BELOW 0x20000000u
/* A reservation above what the kernel chooses, so that nothing reaches the vdso. */
#define ANCHOR_SIZE (64 * PAGE)
#define SCRATCH_SIZE (4 * PAGE)
#define SLOTS 16
#define FILES 12
#define MEMORY_FILE "/dev/shm/seg386-fuzz-mm"

/* Kinds of arguments; from SLOT_TAG on: relative to what slot (tag - SLOT_TAG) holds. */
enum { LITERAL, IN_ARENA, IN_HEAP, BELOW_ANCHOR, IN_SCRATCH, FILE_SLOT, ID_SLOT, SELF, SLOT_TAG = 16 };
enum { PROGRAM = 1, SYSCALL, OLD_MMAP, READ, WRITE, EXECUTE, COPY, MAPS, SHOW, FILL, FORK, PROCESS_VM, SHM_STAT, LIMIT, STATUS };
enum { AS_NUMBER, AS_ADDRESS, AS_FILE, AS_ID, AS_SCRATCH };

struct record {
  uint32_t op, out, a, b;
  struct {
    uint32_t tag, value;
  } arg[6];
};
static struct record records[1 << 15];
static uint8_t scratch[SCRATCH_SIZE] __attribute__((aligned(4096)));
static uint32_t slots[SLOTS], anchor, heap;
static int files[FILES], ids[SLOTS];
static char out[1 << 16];
static uint32_t used;
static const char *prefix = "";
static struct rlimit first_limits[16];

static uint32_t call6(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f) {
  uint32_t words[6] = {a, b, c, d, e, f};
  return call(number, words);
}

/* ---- Printing ---- */

static void flush(void) {
  for (uint32_t done = 0; done < used;) {
    int n = write(1, out + done, used - done);
    if (n <= 0) _exit(90);
    done += n;
  }
  used = 0;
}
static void put(char c) {
  if (used == sizeof out) flush();
  out[used++] = c;
}
static void text(const char *s) {
  while (*s) put(*s++);
}
static void hex(uint32_t v) {
  char digits[9];
  int n = 0;
  do digits[n++] = "0123456789abcdef"[v & 15];
  while (v >>= 4);
  while (n) put(digits[--n]);
}
static void number(int32_t v) {
  char digits[12];
  int n = 0;
  uint32_t u = v < 0 ? -(uint32_t)v : (uint32_t)v;
  if (v < 0) put('-');
  do digits[n++] = '0' + u % 10;
  while (u /= 10);
  while (n) put(digits[--n]);
}
static int named(uint32_t at) {
  return (at >= ARENA && at <= ARENA_TOP) || (at <= anchor + ANCHOR_SIZE && at > anchor - NAMED_BELOW) || at - heap + 0x1000000 < 0x4000000;
}
static void address(uint32_t at) {
  if (at >= ARENA && at <= ARENA_TOP) text("A"), hex(at - ARENA);
  else if (at - heap + 0x1000000 < 0x4000000) text(at < heap ? "H-" : "H+"), hex(at < heap ? heap - at : at - heap);
  else if (at >= (uint32_t)scratch && at <= (uint32_t)scratch + SCRATCH_SIZE) text("S+"), hex(at - (uint32_t)scratch);
  else if (at <= anchor + ANCHOR_SIZE && at > anchor - NAMED_BELOW) text(at > anchor ? "T+" : "T-"), hex(at > anchor ? at - anchor : anchor - at);
  else if (at < 0x8000000) text("0x"), hex(at);
  else text("elsewhere");
}
static void bytes(const volatile uint8_t *from, uint32_t size) {
  for (uint32_t i = 0; i < size;) {
    uint8_t value = from[i];
    uint32_t run = 1;
    while (i + run < size && from[i + run] == value) run++;
    put(' '), hex(value);
    if (run > 1) put('*'), number(run);
    i += run;
  }
}
static uint32_t sum(const volatile uint8_t *from, uint32_t size) {
  uint32_t total = 0;
  for (uint32_t i = 0; i < size; i++) total = total * 31 + from[i];
  return total;
}

/* ---- Signals ---- */

static sigjmp_buf back;
static uint8_t signal_stack[65536];
static siginfo_t caught;
static void on_signal(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)context;
  caught = *info;
  siglongjmp(back, 1);
}
static void print_caught(void) {
  text(caught.si_signo == SIGSEGV ? "SEGV " : caught.si_signo == SIGBUS ? "BUS " : "signal ");
  number(caught.si_code), put(' '), address((uint32_t)caught.si_addr);
}

/* ---- The world of one program ---- */

static void pattern(int fd, int which, uint32_t size) {
  for (uint32_t i = 0; i < size; i++) scratch[i] = (i / PAGE * 16 + i % PAGE / 256 + which * 0x40) | 1;
  if (write(fd, scratch, size) != (int)size) _exit(91);
  memset(scratch, 0, SCRATCH_SIZE);
}

static void begin(void) {
  memset(scratch, 0, SCRATCH_SIZE);
  unlink("a"), unlink("b");
  files[0] = open("a", O_RDWR | O_CREAT | O_TRUNC, 0644);
  pattern(files[0], 1, 3 * PAGE + 100);
  files[1] = open("a", O_RDONLY);
  files[2] = open("b", O_WRONLY | O_CREAT | O_TRUNC, 0644);
  pattern(files[2], 2, 2 * PAGE);
  files[3] = memfd_create("memory", MFD_ALLOW_SEALING);
  if (files[3] >= 0) pattern(files[3], 3, 4 * PAGE);
  /* A file without a name in the memory file system; somebody else may make one at the same time. */
  while (unlink(MEMORY_FILE), (files[10] = open(MEMORY_FILE, O_RDWR | O_CREAT | O_EXCL, 0600)) < 0 && errno == EEXIST);
  unlink(MEMORY_FILE);
  if (files[10] >= 0) pattern(files[10], 1, 2 * PAGE + 50);
  files[11] = open("/dev/zero", O_RDWR);
}

static uint32_t value_of(const struct record *r, int i) {
  uint32_t tag = r->arg[i].tag, value = r->arg[i].value;
  switch (tag) {
    case LITERAL: return value;
    case IN_ARENA: return ARENA + value;
    case IN_HEAP: return heap + value;
    case BELOW_ANCHOR: return anchor - value;
    case IN_SCRATCH: return (uint32_t)scratch + value;
    case FILE_SLOT: return files[value % FILES];
    case ID_SLOT: return ids[value % SLOTS];
    case SELF: return getpid();
    default: return (slots[(tag - SLOT_TAG) % SLOTS] ?: ARENA_TOP - 0x1000000) + value;
  }
}

/* ---- Operations ---- */

static void print_result(const struct record *r, uint32_t result, int as) {
  if (result > 0xfffff000u) {
    number((int32_t)result);
    return;
  }
  switch (as) {
    case AS_ADDRESS: slots[r->out % SLOTS] = result, address(result); break;
    case AS_FILE: {
      int *slot = &files[4 + r->out % (FILES - 4)];
      if (*slot >= 0) close(*slot);
      *slot = result, text("file");
      break;
    }
    case AS_ID: {
      int *slot = &ids[r->out % SLOTS];
      if (*slot != -1) call6(SYS_shmctl, *slot, 0, 0, 0, 0, 0);
      *slot = result, text("id");
      break;
    }
    default: number(result);
  }
}

static void system_call(const struct record *r) {
  uint32_t words[6];
  for (int i = 0; i < 6; i++) words[i] = value_of(r, i);
  if (r->op == OLD_MMAP) {
    memcpy(scratch, words, sizeof words);
    words[0] = (uint32_t)scratch;
  }
  if (r->b == AS_SCRATCH) memset(scratch, 0xee, 64);
  uint32_t result = call(r->a, words);
  if (r->op == OLD_MMAP) memset(scratch, 0, sizeof words);
  print_result(r, result, r->b);
  if (r->b == AS_SCRATCH) bytes(scratch, 64);
  /* What is in memory may differ, and nothing else shall because of it. */
  if (r->a == SYS_mincore) memset(scratch, 0, SCRATCH_SIZE);
}

static void touch(const struct record *r) {
  volatile uint8_t *at = (uint8_t *)value_of(r, 0);
  uint32_t value = r->arg[1].value;
  if (sigsetjmp(back, 0)) {
    print_caught();
    return;
  }
  switch (r->op) {
    case READ: hex(r->a == 4 ? *(volatile uint32_t *)at : r->a == 2 ? *(volatile uint16_t *)at : *at); return;
    case WRITE:
      if (r->a == 4) *(volatile uint32_t *)at = value;
      else if (r->a == 2) *(volatile uint16_t *)at = value;
      else *at = value;
      text("written");
      return;
    case EXECUTE: {
      /* Only a return may be run: one is put there unless something else cannot be replaced. */
      volatile int readable = 0;
      volatile uint8_t found = 0;
      if (!sigsetjmp(back, 0)) found = *at, readable = 1;
      else print_caught(), put(' ');
      if (readable && found != 0xc3) {
        if (sigsetjmp(back, 0)) {
          print_caught(), text(" no return");
          return;
        }
        *at = 0xc3;
      }
      if (sigsetjmp(back, 0)) {
        print_caught();
        return;
      }
      ((void (*)(void))at)();
      text("returned");
      return;
    }
    case COPY: {
      uint32_t count = r->a, from = (uint32_t)at, to = value_of(r, 1);
      __asm__ volatile("rep movsb" : "+c"(count), "+S"(from), "+D"(to) : : "memory");
      text("copied");
      return;
    }
    case SHOW: put('s'), hex(sum(at, r->a)), bytes(at, 4); return;
  }
}

/* The lines of /proc/self/maps that lie in what has names: range, rights, offset, whether there is a file, the last part of its name. */
static void maps(void) {
  static char buffer[1 << 18];
  uint32_t size = 0;
  int fd = open("/proc/self/maps", O_RDONLY);
  for (int n; (n = read(fd, buffer + size, sizeof buffer - 1 - size)) > 0;) size += n;
  close(fd);
  buffer[size] = 0;
  for (char *p = buffer; *p;) {
    char *end = strchr(p, '\n');
    if (!end) break;
    *end = 0;
    uint32_t base = 0, top = 0;
    for (; *p != '-'; p++) base = base * 16 + (*p <= '9' ? *p - '0' : *p - 'a' + 10);
    for (p++; *p != ' '; p++) top = top * 16 + (*p <= '9' ? *p - '0' : *p - 'a' + 10);
    /* What is joined with the library's heap begins with ours. */
    if (base < heap && top > heap) base = heap;
    if (named(base) && base >= heap - 4096 && base < anchor + ANCHOR_SIZE) {
      text("\n  "), address(base), put(' '), address(top);
      char *fields[5];
      for (int i = 0; i < 4; i++) {
        while (*p == ' ') p++;
        fields[i] = p;
        while (*p && *p != ' ') p++;
        if (*p) *p++ = 0;
      }
      while (*p == ' ') p++;
      /* A segment's inode is its identifier, which may be 0. */
      int has_inode = fields[3][0] != '0' || strncmp(p, "/SYSV", 5) == 0;
      put(' '), text(fields[0]), put(' '), text(fields[1]), text(has_inode ? " i" : " -");
      char *slash = strrchr(p, '/');
      if (strncmp(p, "/memfd:", 7) == 0) slash = p;
      put(' '), text(slash ? slash + 1 : p);
    }
    p = end + 1;
  }
}

static void process_vm(const struct record *r) {
  struct {
    uint32_t base, size;
  } local[2] = {{(uint32_t)scratch, SCRATCH_SIZE}}, remote[2] = {{value_of(r, 0), r->arg[1].value}, {value_of(r, 2), r->arg[3].value}};
  if (r->a == 0) memset(scratch, 0, SCRATCH_SIZE);
  uint32_t result = call6(r->a ? SYS_process_vm_writev : SYS_process_vm_readv, getpid(), (uint32_t)local, 1, (uint32_t)remote, 2, 0);
  number(result), put(' '), hex(sum(scratch, SCRATCH_SIZE));
}

static void shm_stat(const struct record *r) {
  uint32_t buffer[64] = {0};
  uint32_t result = call6(SYS_shmctl, ids[r->arg[0].value % SLOTS], 2, (uint32_t)buffer, 0, 0, 0);
  number(result);
  /* shmid64_ds on i386: ipc64_perm (36 bytes), size, three times of two words, creator, last, attached. */
  if (result == 0) put(' '), hex(buffer[9]), text(" attached "), number(buffer[18]), text(" mode "), hex(buffer[5] & 0xffff);
}

/* A field of /proc/self/status in kB. */
static uint32_t status_field(const char *name) {
  static char buffer[8192];
  int fd = open("/proc/self/status", O_RDONLY), n = read(fd, buffer, sizeof buffer - 1);
  close(fd);
  buffer[n > 0 ? n : 0] = 0;
  char *p = strstr(buffer, name);
  if (!p) return 0xffffffff;
  for (p += strlen(name); *p == ':' || *p == ' ' || *p == '\t';) p++;
  uint32_t value = 0;
  for (; *p >= '0' && *p <= '9'; p++) value = value * 10 + *p - '0';
  return value;
}
static const char *const FIELDS[] = {"VmSize", "VmData", "VmLck", "VmStk"};
static uint32_t first_fields[4];

/* Limits are set relative to what is used, which differs between two systems. */
static void limit(const struct record *r) {
  int which = r->a;
  uint32_t now = which == RLIMIT_AS ? status_field("VmSize") * 1024 : which == RLIMIT_DATA ? status_field("VmData") * 1024 : 0;
  struct rlimit value = first_limits[which];
  value.rlim_cur = now + r->arg[0].value;
  number(setrlimit(which, &value));
}

static void run(uint32_t from, uint32_t to);

static void fork_once(uint32_t at, uint32_t child_records, uint32_t parent_first) {
  int ready[2];
  if (pipe(ready)) _exit(92);
  flush();
  int parents_ids[SLOTS];
  memcpy(parents_ids, ids, sizeof ids);
  int pid = fork();
  if (pid == 0) {
    char c;
    close(ready[1]);
    prefix = "c";
    while (read(ready[0], &c, 1) > 0);
    close(ready[0]);
    run(at + 1 + parent_first, at + 1 + parent_first + child_records);
    flush();
    for (int i = 0; i < SLOTS; i++)
      if (ids[i] != parents_ids[i] && ids[i] != -1) call6(SYS_shmctl, ids[i], 0, 0, 0, 0, 0);
    _exit(7);
  }
  close(ready[0]);
  if (pid > 0) run(at + 1, at + 1 + parent_first), flush();
  close(ready[1]);
  int status = 0;
  if (pid > 0) waitpid(pid, &status, 0);
  text(prefix), number(at), text(" fork "), number(pid > 0 ? status : -1), put('\n');
}

static uint32_t program_start;

static void run(uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++) {
    const struct record *r = &records[i];
    if (r->op == FORK) {
      fork_once(i, r->a, r->b);
      i += r->a + r->b;
      continue;
    }
    text(prefix), number(i - program_start), put(' ');
    switch (r->op) {
      case SYSCALL:
      case OLD_MMAP: system_call(r); break;
      case READ:
      case WRITE:
      case EXECUTE:
      case COPY:
      case SHOW: touch(r); break;
      case MAPS: maps(); break;
      case FILL: memset(scratch, r->a, SCRATCH_SIZE), text("filled"); break;
      case PROCESS_VM: process_vm(r); break;
      case SHM_STAT: shm_stat(r); break;
      case LIMIT: limit(r); break;
      case STATUS:
        for (int f = 0; f < 4; f++) put(' '), number((int32_t)(status_field(FIELDS[f]) - first_fields[f]));
        break;
    }
    put('\n');
  }
}

/* Each program has a process of its own: what one leaves behind, be it the kernel's miscounting, is nothing to the next. */
static void run_program(uint32_t from, uint32_t to) {
  int status = 0;
  text("P "), number(records[from].a), put('\n');
  flush();
  int pid = fork();
  if (pid == 0) {
    program_start = from;
    begin();
    run(from + 1, to);
    flush();
    for (int i = 0; i < SLOTS; i++)
      if (ids[i] != -1) call6(SYS_shmctl, ids[i], 0, 0, 0, 0, 0);
    _exit(0);
  }
  if (pid > 0) waitpid(pid, &status, 0);
  if (pid < 0 || status != 0) text("ended "), number(status), put('\n');
}

int main(int argc, char **argv) {
  (void)argc, (void)argv;
  uint32_t size = 0;
  for (int n; (n = read(0, (char *)records + size, sizeof records - size)) > 0;) size += n;
  /* Limits on locked memory bind nobody who is root. */
  if (geteuid() == 0) {
    setgid(65534), setuid(65534);
    prctl(PR_SET_DUMPABLE, 1);
  }
  stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
  sigaltstack(&stack, 0);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaction(SIGSEGV, &action, 0), sigaction(SIGBUS, &action, 0);
  memset(files, -1, sizeof files), memset(ids, -1, sizeof ids);
  struct rlimit locked;
  getrlimit(RLIMIT_MEMLOCK, &locked);
  locked.rlim_cur = 32 * PAGE;
  setrlimit(RLIMIT_MEMLOCK, &locked);
  for (int i = 0; i < 16; i++) getrlimit(i, &first_limits[i]);
  /* What the library keeps on the heap lies well below. */
  heap = ((call6(SYS_brk, 0, 0, 0, 0, 0, 0) + PAGE - 1) & -PAGE) + 16 * PAGE;
  call6(SYS_brk, heap, 0, 0, 0, 0, 0);
  anchor = call6(SYS_mmap2, 0, ANCHOR_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int f = 0; f < 4; f++) first_fields[f] = status_field(FIELDS[f]);
  for (uint32_t count = size / sizeof *records, from = 0, to; from < count; from = to) {
    for (to = from + 1; to < count && records[to].op != PROGRAM; to++);
    run_program(from, to);
  }
  flush();
  return 0;
}
