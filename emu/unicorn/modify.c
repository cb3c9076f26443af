/*
 * Which instructions read their memory operand only to write it back: the CPU asks for a writable page at once, so that their fault is
 * a write's. Looked at when a read has faulted for good; blocks load and store separately.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "seg386.h"

/* Opcodes after 0f. */
static bool two_byte_modifies(int op, int reg)
{
    switch (op) {
    case 0xab: case 0xb3: case 0xbb: /* bts, btr, btc */
    case 0xa4: case 0xa5: case 0xac: case 0xad: /* shld, shrd */
    case 0xb0: case 0xb1: case 0xc0: case 0xc1: /* cmpxchg, xadd */
        return true;
    case 0xba:
        return reg >= 5;
    case 0xc7: /* cmpxchg8b */
        return reg == 1;
    default:
        return false;
    }
}

static bool one_byte_modifies(int op, int reg)
{
    if (op < 0x38) { /* add, or, adc, sbb, and, sub, xor to memory */
        return (op & 7) <= 1;
    }
    switch (op) {
    case 0x80: case 0x81: case 0x82: case 0x83:
        return reg != 7;
    case 0x86: case 0x87: /* xchg */
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3: /* shifts */
        return true;
    case 0xf6: case 0xf7: /* not, neg */
        return reg == 2 || reg == 3;
    case 0xfe: case 0xff: /* inc, dec */
        return reg <= 1;
    default:
        return false;
    }
}

/* The instruction at `at`, whose bytes seg_peek gives; it has just run as far as its load. */
bool seg_modifies_memory(uint32_t at)
{
    int op = seg_peek(at);
    while (op == 0x66 || op == 0x67 || op == 0xf0 || op == 0xf2 || op == 0xf3 || (op & 0xe7) == 0x26 || op == 0x64 || op == 0x65) {
        op = seg_peek(++at);
    }
    if (op == 0x0f) {
        return two_byte_modifies(seg_peek(at + 1), seg_peek(at + 2) >> 3 & 7);
    }
    return one_byte_modifies(op, seg_peek(at + 1) >> 3 & 7);
}
