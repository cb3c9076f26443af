/*
 * Makes the calls that standard input lists (a number and six words each), every one over freshly filled memory, and prints result and a sum
 * of that memory. The same program runs on the bare CPU and in the emulator. build: gcc -m32 -static
 */
#include "raw-call.h"
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY ((uint32_t *)0x20000000)
#define FILLED 0x400
#define SUMMED 0x800
#define READ_ONLY ((void *)0x20020000)

struct record {
  uint32_t number, words[6];
};
static struct record records[8192];

static uint32_t state;
static uint32_t below(uint32_t n) {
  state = state * 1103515245 + 12345;
  return (state >> 8) % n;
}

static void fill(void) {
  static const uint32_t corners[] = {7, 8, 12, 13, 15, 16, 31, 63, 64, 65, 0x1000, 0x7fffffff, 0xffffffff, 0xfffffffe, 0x80000000, 999999999, 1000000000};
  for (int i = 0; i < SUMMED / 4; i++) MEMORY[i] = i >= FILLED / 4 ? 0 : below(3) ? below(16) : corners[below(sizeof corners / 4)];
}

int main(int argc, char **argv) {
  state = argc > 1 ? atoi(argv[1]) : 1;
  for (int signo = 1; signo <= 64; signo++)
    if (signo != SIGKILL && signo != SIGSTOP && signo != SIGCHLD && signo != 32 && signo != 33) signal(signo, SIG_IGN);
  if (mmap(MEMORY, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MEMORY) return 1;
  if (mmap(READ_ONLY, 0x4000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != READ_ONLY) return 1;
  size_t size = 0;
  for (ssize_t got; (got = read(0, (char *)records + size, sizeof records - size)) > 0;) size += got;
  for (size_t i = 0; i < size / sizeof *records; i++) {
    fill();
    uint32_t result = call(records[i].number, records[i].words), sum = 0;
    for (int j = 0; j < SUMMED / 4; j++) sum = sum * 31 + MEMORY[j];
    printf("%d %08x\n", (int)result, sum);
  }
  return 0;
}
