/*
 * The interpreter's instruction set. An instruction is an opcode word followed by operand words. An operand D, A or B is the address
 * of a 32-bit value (a guest register in CPUX86State, a temporary's slot, or a constant in the block's pool); I is an immediate.
 */
#ifndef SEG386_BYTECODE_H
#define SEG386_BYTECODE_H

/* name, the expression of a (first source) and b (second source); both a register form D,A,B and an immediate form D,A,I are made. */
#define SEG_BINARY_OPS(X) \
    X(add, a + b) X(sub, a - b) X(mul, a * b) X(and, a & b) X(or, a | b) X(xor, a ^ b) X(andc, a & ~b) \
    X(shl, a << (b & 31)) X(shr, a >> (b & 31)) X(sar, (uint32_t)((int32_t)a >> (b & 31))) \
    X(rotl, (a << (b & 31)) | (a >> (-b & 31))) X(rotr, (a >> (b & 31)) | (a << (-b & 31))) \
    X(clz, a ? (uint32_t)__builtin_clz(a) : b) X(ctz, a ? (uint32_t)__builtin_ctz(a) : b)

/* D, A */
#define SEG_UNARY_OPS(X) \
    X(mov, a) X(not, ~a) X(neg, -a) X(ext8s, (uint32_t)(int8_t)a) X(ext16s, (uint32_t)(int16_t)a) X(ext8u, (uint8_t)a) \
    X(ext16u, (uint16_t)a) X(bswap16, __builtin_bswap16((uint16_t)a)) X(bswap32, __builtin_bswap32(a)) X(ctpop, (uint32_t)__builtin_popcount(a))

/* Conditions in TCG's terms: name, TCGCond, test. */
#define SEG_CONDITIONS(X) \
    X(eq, TCG_COND_EQ, a == b) X(ne, TCG_COND_NE, a != b) X(lt, TCG_COND_LT, (int32_t)a < (int32_t)b) X(ge, TCG_COND_GE, (int32_t)a >= (int32_t)b) \
    X(le, TCG_COND_LE, (int32_t)a <= (int32_t)b) X(gt, TCG_COND_GT, (int32_t)a > (int32_t)b) X(ltu, TCG_COND_LTU, a < b) X(geu, TCG_COND_GEU, a >= b) \
    X(leu, TCG_COND_LEU, a <= b) X(gtu, TCG_COND_GTU, a > b)

/* Host memory (CPU state), at a fixed address and at A + I: name, C type read. */
#define SEG_HOST_LOADS(X) X(ld8u, uint8_t) X(ld8s, int8_t) X(ld16u, uint16_t) X(ld16s, int16_t) X(ld, uint32_t)
#define SEG_HOST_STORES(X) X(st8, uint8_t) X(st16, uint16_t) X(st, uint32_t)

/* Guest memory through the TLB: name, C type, size, slow path. D, A, I (displacement), I (TCGMemOpIdx). */
#define SEG_GUEST_LOADS(X) \
    X(guest_ld8u, uint8_t, 1) X(guest_ld8s, int8_t, 1) X(guest_ld16u, uint16_t, 2) X(guest_ld16s, int16_t, 2) X(guest_ld32, uint32_t, 4)
#define SEG_GUEST_STORES(X) X(guest_st8, uint8_t, 1) X(guest_st16, uint16_t, 2) X(guest_st32, uint32_t, 4)

/*
 * Helper calls, one form for each wasm signature that a helper has, since call_indirect traps on any other: name, type of the result,
 * kinds of the arguments. i is a 32-bit word or pointer, l is 64 bits (two operand words).
 */
#define SEG_CALLS(X) \
    X(v_i) X(v_ii) X(v_iii) X(v_iiii) X(v_iiiii) X(v_il) X(v_iil) X(v_iiil) X(v_iiill) X(v_iili) X(v_ill) \
    X(i_i) X(i_ii) X(i_iii) X(i_iiii) X(i_iiiii) X(i_il) X(l_i) X(l_ii) X(l_iii) X(l_l) X(l_ll) X(l_il) X(v_) X(i_)

enum SegOp {
    /* TranslationBlock*, number of instructions: the first instruction of each block. */
    SEG_OP_block,
    /* where to go on, which changes as blocks are linked */
    SEG_OP_goto_tb,
    /* find the next block by the CPU state */
    SEG_OP_goto_next,
    /* value to return */
    SEG_OP_exit,
    SEG_OP_movi, /* D, I */
    SEG_OP_br,   /* target */
#define X(name, e) SEG_OP_##name, SEG_OP_##name##_imm,
    SEG_BINARY_OPS(X)
#undef X
#define X(name, e) SEG_OP_##name,
    SEG_UNARY_OPS(X)
#undef X
#define X(name, cond, e) SEG_OP_brcond_##name, SEG_OP_brcond_##name##_imm, SEG_OP_setcond_##name, SEG_OP_setcond_##name##_imm, SEG_OP_movcond_##name,
    SEG_CONDITIONS(X)
#undef X
    SEG_OP_brcond2,  /* Al, Ah, Bl, Bh, cond, target */
    SEG_OP_setcond2, /* D, Al, Ah, Bl, Bh, cond */
    SEG_OP_deposit,  /* D, A, B, I (shift), I (mask, unshifted) */
    SEG_OP_extract,  /* D, A, I (shift), I (mask) */
    SEG_OP_sextract, /* D, A, I (left shift), I (right shift) */
    SEG_OP_extract2, /* D, Al, Ah, I (position, 1 to 31) */
    SEG_OP_add2,     /* Dl, Dh, Al, Ah, Bl, Bh */
    SEG_OP_sub2,
    SEG_OP_mulu2, /* Dl, Dh, A, B */
    SEG_OP_muls2,
#define X(name, type) SEG_OP_##name##_at, SEG_OP_##name,
    SEG_HOST_LOADS(X) SEG_HOST_STORES(X)
#undef X
#define X(name, type, size) SEG_OP_##name,
    SEG_GUEST_LOADS(X) SEG_GUEST_STORES(X)
#undef X
    SEG_OP_guest_ld64, /* Dl, Dh, A, I, I */
    SEG_OP_guest_st64,
    SEG_OP_guest_ld_slow, /* as guest_ld32 and guest_st32, any memory operation: alignment checked, or byte-swapped */
    SEG_OP_guest_st_slow,
    SEG_OP_guest_ld64_slow,
    SEG_OP_guest_st64_slow,
#define X(name) SEG_OP_call_##name,
    SEG_CALLS(X)
#undef X
    SEG_OP_COUNT
};

#endif
