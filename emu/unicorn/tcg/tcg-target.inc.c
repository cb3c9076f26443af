/*
 * Emits bytecode (bytecode.h) from optimised TCG ops; included by tcg.c. There is no register allocation: every temporary has a home
 * in memory. What is done instead: constants are kept out of the code until used, results are computed straight into the register
 * that they are moved to, and address arithmetic is folded into loads and stores.
 */
#include "seg386.h"
#include "bytecode.h"

static const int tcg_target_reg_alloc_order[] = { TCG_REG_R0 };
static const int tcg_target_call_iarg_regs[] = { TCG_REG_R0 };
static const int tcg_target_call_oarg_regs[] = { TCG_REG_R0, TCG_REG_R0 };

/* The register allocator of tcg.c is never entered (patch 03); these satisfy its forward declarations. */
static const TCGTargetOpDef *tcg_target_op_def(TCGOpcode op)
{
    static const TCGTargetOpDef any = { .args_ct_str = { "r", "r", "r", "r", "r", "r" } };
    return &any;
}
static const char *target_parse_constraint(TCGArgConstraint *ct, const char *text, TCGType type)
{
    ct->ct |= TCG_CT_REG;
    ct->u.regs = 1;
    return text + 1;
}
static int tcg_target_const_match(tcg_target_long val, TCGType type, const TCGArgConstraint *arg_ct) { return 0; }
static bool patch_reloc(tcg_insn_unit *code_ptr, int type, intptr_t value, intptr_t addend)
{
    *code_ptr = value + addend;
    return true;
}
static void tcg_out_ld(TCGContext *s, TCGType type, TCGReg ret, TCGReg base, intptr_t offset) { __builtin_trap(); }
static void tcg_out_st(TCGContext *s, TCGType type, TCGReg arg, TCGReg base, intptr_t offset) { __builtin_trap(); }
static bool tcg_out_sti(TCGContext *s, TCGType type, TCGArg val, TCGReg base, intptr_t offset) { return false; }
static bool tcg_out_mov(TCGContext *s, TCGType type, TCGReg ret, TCGReg arg) { __builtin_trap(); }
static void tcg_out_movi(TCGContext *s, TCGType type, TCGReg ret, tcg_target_long arg) { __builtin_trap(); }
static void tcg_out_call(TCGContext *s, tcg_insn_unit *target) { __builtin_trap(); }
static void tcg_out_op(TCGContext *s, TCGOpcode opc, const TCGArg *args, const int *const_args) { __builtin_trap(); }

static void tcg_target_init(TCGContext *s)
{
    s->tcg_target_available_regs[TCG_TYPE_I32] = 1;
    s->tcg_target_call_clobber_regs = 1;
    s->reserved_regs = 0;
}

/* The epilogue is the one instruction that a jump to "no block found" reaches: leave with nothing. */
static void tcg_target_qemu_prologue(TCGContext *s)
{
    s->code_gen_epilogue = s->code_ptr;
    tcg_out32(s, SEG_OP_exit);
    tcg_out32(s, 0);
}

/* ---- where a temporary lives, and what is known of it */

/* Slots of the temporaries that are not CPU state; one block uses them at a time. */
uint32_t seg_temp_slots[TCG_MAX_TEMPS];

/* Most constants in a block that are not immediates; a block that needs more is translated again with fewer instructions. */
#define SEG_POOL_MAX 1024

static struct {
    uintptr_t env;                       /* address of CPUX86State */
    bool check_alignment;                /* EFLAGS.AC is set where this block runs */
    uint32_t value[TCG_MAX_TEMPS];       /* constant that a temporary holds */
    uint8_t is_constant[TCG_MAX_TEMPS];
    uint32_t pool[SEG_POOL_MAX];         /* constants that need an address */
    struct { tcg_insn_unit *word; uint32_t index; } uses[SEG_POOL_MAX * 2];
    unsigned pool_size, uses_size;
    bool overflow;
} seg;

static inline bool seg_is_normal(const TCGTemp *ts)
{
    return !ts->temp_global && !ts->temp_local && !ts->fixed_reg;
}

static inline uint32_t *seg_home(TCGContext *s, const TCGTemp *ts)
{
    return ts->temp_global ? (uint32_t *)(seg.env + ts->mem_offset) : &seg_temp_slots[ts - s->temps];
}

static inline bool seg_constant(TCGContext *s, TCGArg arg, uint32_t *value)
{
    const TCGTemp *ts = arg_temp(arg);
    if (ts->fixed_reg) {
        *value = seg.env;
        return true;
    }
    if (!seg.is_constant[ts - s->temps]) {
        return false;
    }
    *value = seg.value[ts - s->temps];
    return true;
}

static void seg_forget_constants(TCGContext *s)
{
    memset(seg.is_constant, 0, s->nb_temps);
}

/* ---- emitting operands */

static void seg_out_pool(TCGContext *s, uint32_t value)
{
    unsigned i;
    for (i = 0; i < seg.pool_size && seg.pool[i] != value; i++) {
    }
    if (i == SEG_POOL_MAX || seg.uses_size == ARRAY_SIZE(seg.uses)) {
        seg.overflow = true;
        return;
    }
    if (i == seg.pool_size) {
        seg.pool[seg.pool_size++] = value;
    }
    seg.uses[seg.uses_size].word = s->code_ptr;
    seg.uses[seg.uses_size++].index = i;
    tcg_out32(s, 0);
}

static void seg_out_in(TCGContext *s, TCGArg arg)
{
    uint32_t value;
    if (seg_constant(s, arg, &value)) {
        seg_out_pool(s, value);
    } else {
        tcg_out32(s, (uint32_t)(uintptr_t)seg_home(s, arg_temp(arg)));
    }
}

/* Call it after the inputs were emitted or looked up: it forgets the constant that the temporary held. */
static void seg_out_result(TCGContext *s, TCGArg arg)
{
    const TCGTemp *ts = arg_temp(arg);
    seg.is_constant[ts - s->temps] = false;
    tcg_out32(s, (uint32_t)(uintptr_t)seg_home(s, ts));
}

static void seg_out_label(TCGContext *s, TCGLabel *label)
{
    if (label->has_value) {
        tcg_out32(s, (uint32_t)label->u.value);
    } else {
        tcg_out_reloc(s, s->code_ptr, 0, label, 0);
        tcg_out32(s, 0);
    }
}

static void seg_out_pool_finish(TCGContext *s)
{
    tcg_insn_unit *pool = s->code_ptr;
    unsigned i;
    for (i = 0; i < seg.pool_size; i++) {
        tcg_out32(s, seg.pool[i]);
    }
    for (i = 0; i < seg.uses_size; i++) {
        *seg.uses[i].word = (uint32_t)(uintptr_t)(pool + seg.uses[i].index);
    }
}

/* ---- one op each */

static void seg_emit_movi(TCGContext *s, TCGArg out, uint32_t value)
{
    TCGTemp *ts = arg_temp(out);
    if (seg_is_normal(ts)) {
        seg.is_constant[ts - s->temps] = true;
        seg.value[ts - s->temps] = value;
        return;
    }
    tcg_out32(s, SEG_OP_movi);
    seg_out_result(s, out);
    tcg_out32(s, value);
}

static void seg_emit_unary(TCGContext *s, unsigned opcode, const TCGArg *args)
{
    uint32_t value;
    if (opcode == SEG_OP_mov && seg_constant(s, args[1], &value)) {
        seg_emit_movi(s, args[0], value);
        return;
    }
    tcg_insn_unit *at = s->code_ptr;
    tcg_out32(s, opcode);
    tcg_out32(s, 0);
    seg_out_in(s, args[1]);
    tcg_insn_unit *end = s->code_ptr;
    s->code_ptr = at + 1;
    seg_out_result(s, args[0]);
    s->code_ptr = end;
}

static bool seg_commutes(unsigned opcode)
{
    return opcode == SEG_OP_add || opcode == SEG_OP_mul || opcode == SEG_OP_and || opcode == SEG_OP_or || opcode == SEG_OP_xor;
}

static void seg_emit_binary(TCGContext *s, unsigned opcode, const TCGArg *args)
{
    TCGArg a = args[1], b = args[2];
    uint32_t va, vb;
    bool ca = seg_constant(s, a, &va), cb = seg_constant(s, b, &vb);
    if (ca && cb && opcode == SEG_OP_add) {
        seg_emit_movi(s, args[0], va + vb);
        return;
    }
    if (ca && !cb && seg_commutes(opcode)) {
        TCGArg t = a;
        a = b, b = t;
        cb = true, vb = va;
    }
    tcg_insn_unit *at = s->code_ptr;
    tcg_out32(s, opcode + (cb ? 1 : 0));
    tcg_out32(s, 0);
    seg_out_in(s, a);
    if (cb) {
        tcg_out32(s, vb);
    } else {
        seg_out_in(s, b);
    }
    tcg_insn_unit *end = s->code_ptr;
    s->code_ptr = at + 1;
    seg_out_result(s, args[0]);
    s->code_ptr = end;
}

/* Index of a condition in SEG_CONDITIONS, times the five opcodes each has. */
static unsigned seg_condition(TCGCond cond)
{
    switch (cond) {
#define X(name, c, e) case c: return SEG_OP_brcond_##name - SEG_OP_brcond_eq;
    SEG_CONDITIONS(X)
#undef X
    default:
        __builtin_trap();
    }
}

static void seg_emit_brcond(TCGContext *s, const TCGArg *args)
{
    uint32_t value;
    TCGArg a = args[0], b = args[1];
    TCGCond cond = args[2];
    if (seg_constant(s, a, &value) && !seg_constant(s, b, &value)) {
        TCGArg t = a;
        a = b, b = t;
        cond = tcg_swap_cond(cond);
    }
    bool immediate = seg_constant(s, b, &value);
    tcg_out32(s, SEG_OP_brcond_eq + seg_condition(cond) + (immediate ? 1 : 0));
    seg_out_in(s, a);
    if (immediate) {
        tcg_out32(s, value);
    } else {
        seg_out_in(s, b);
    }
    seg_out_label(s, arg_label(args[3]));
}

/* Emits the opcode, `outputs` results and `inputs` sources in TCG's order; results are written last so that constants survive. */
static void seg_emit_plain(TCGContext *s, unsigned opcode, const TCGArg *args, int outputs, int inputs)
{
    tcg_insn_unit *at = s->code_ptr, *end;
    int i;
    tcg_out32(s, opcode);
    for (i = 0; i < outputs; i++) {
        tcg_out32(s, 0);
    }
    for (i = 0; i < inputs; i++) {
        seg_out_in(s, args[outputs + i]);
    }
    end = s->code_ptr;
    s->code_ptr = at + 1;
    for (i = 0; i < outputs; i++) {
        seg_out_result(s, args[i]);
    }
    s->code_ptr = end;
}

static void seg_emit_setcond(TCGContext *s, const TCGArg *args)
{
    uint32_t value;
    bool immediate = seg_constant(s, args[2], &value);
    unsigned opcode = SEG_OP_setcond_eq + seg_condition(args[3]) + (immediate ? 1 : 0);
    if (!immediate) {
        seg_emit_plain(s, opcode, args, 1, 2);
        return;
    }
    seg_emit_plain(s, opcode, args, 1, 1);
    tcg_out32(s, value);
}

/* A load or store of CPU state: at a constant address when the base is one. */
static void seg_emit_host_access(TCGContext *s, unsigned opcode_at, const TCGArg *args, bool store)
{
    uint32_t base;
    if (seg_constant(s, args[1], &base)) {
        uint32_t value;
        if (store && opcode_at == SEG_OP_st_at && seg_constant(s, args[0], &value)) {
            tcg_out32(s, SEG_OP_movi);
            tcg_out32(s, base + args[2]);
            tcg_out32(s, value);
            return;
        }
        tcg_out32(s, opcode_at);
        if (store) {
            seg_out_in(s, args[0]);
        } else {
            seg_out_result(s, args[0]);
        }
        tcg_out32(s, base + args[2]);
        return;
    }
    if (store) {
        seg_emit_plain(s, opcode_at + 1, args, 0, 2);
    } else {
        seg_emit_plain(s, opcode_at + 1, args, 1, 1);
    }
    tcg_out32(s, args[2]);
}

/* args: value(s), address, memory operation; `displacement` was folded out of the address. */
static void seg_emit_guest_access(TCGContext *s, const TCGArg *args, bool store, bool wide, TCGArg address, uint32_t displacement)
{
    TCGMemOpIdx oi = args[wide ? 3 : 2];
    MemOp op = get_memop(oi);
    bool anywhere = (op & MO_AMASK) == SEG_MO_ANYWHERE;
    if (anywhere || seg.check_alignment) {
        op = anywhere ? op & ~MO_AMASK : op | MO_ALIGN;
        oi = make_memop_idx(op, get_mmuidx(oi));
    }
    bool slow = get_alignment_bits(op) != 0 || (op & MO_BSWAP) || get_mmuidx(oi) != SEG_USER_MMU_INDEX;
    unsigned opcode;
    if (wide && (op & MO_SIZE) == MO_64) {
        opcode = slow ? (store ? SEG_OP_guest_st64_slow : SEG_OP_guest_ld64_slow) : store ? SEG_OP_guest_st64 : SEG_OP_guest_ld64;
    } else if (slow) {
        opcode = store ? SEG_OP_guest_st_slow : SEG_OP_guest_ld_slow;
    } else if (store) {
        opcode = (op & MO_SIZE) == MO_8 ? SEG_OP_guest_st8 : (op & MO_SIZE) == MO_16 ? SEG_OP_guest_st16 : SEG_OP_guest_st32;
    } else {
        switch (op & MO_SSIZE) {
        case MO_UB: opcode = SEG_OP_guest_ld8u; break;
        case MO_SB: opcode = SEG_OP_guest_ld8s; break;
        case MO_UW: opcode = SEG_OP_guest_ld16u; break;
        case MO_SW: opcode = SEG_OP_guest_ld16s; break;
        default: opcode = SEG_OP_guest_ld32; break;
        }
    }
    TCGArg operands[3] = { args[0], wide ? args[1] : address, address };
    int values = wide ? 2 : 1;
    seg_emit_plain(s, opcode, operands, store ? 0 : values, store ? values + 1 : 1);
    tcg_out32(s, displacement);
    tcg_out32(s, oi);
}

static unsigned seg_call_opcode(bool has_result, unsigned sizemask, int arguments)
{
    static const struct { const char *kinds; unsigned opcode; } calls[] = {
#define X(name) { #name, SEG_OP_call_##name },
        SEG_CALLS(X)
#undef X
    };
    char kinds[12];
    int n = 0, i;
    kinds[n++] = !has_result ? 'v' : (sizemask & 1) ? 'l' : 'i';
    kinds[n++] = '_';
    for (i = 0; i < arguments; i++) {
        kinds[n++] = (sizemask & (1 << (i + 1) * 2)) ? 'l' : 'i';
    }
    kinds[n] = 0;
    for (i = 0; i < (int)ARRAY_SIZE(calls); i++) {
        if (!strcmp(calls[i].kinds, kinds)) {
            return calls[i].opcode;
        }
    }
    __builtin_trap();
}

static void seg_emit_call(TCGContext *s, TCGOp *op)
{
    int outputs = TCGOP_CALLO(op), inputs = TCGOP_CALLI(op), words = inputs, i;
    void *function = (void *)(uintptr_t)op->args[outputs + inputs];
    TCGHelperInfo *info = g_hash_table_lookup(s->helper_table, function);
    /* TCG has split each 64-bit argument into two words */
    for (i = 0; i < 6; i++) {
        words -= (info->sizemask >> (i + 1) * 2) & 1;
    }
    unsigned opcode = seg_call_opcode(outputs > 0, info->sizemask, words);
    tcg_insn_unit *at = s->code_ptr, *end;
    tcg_out32(s, opcode);
    tcg_out32(s, (uint32_t)(uintptr_t)function);
    for (i = 0; i < outputs; i++) {
        tcg_out32(s, 0);
    }
    for (i = 0; i < inputs; i++) {
        seg_out_in(s, op->args[outputs + i]);
    }
    end = s->code_ptr;
    s->code_ptr = at + 2;
    for (i = 0; i < outputs; i++) {
        seg_out_result(s, op->args[i]);
    }
    s->code_ptr = end;
}

static void seg_emit_op(TCGContext *s, TCGOp *op)
{
    const TCGArg *args = op->args;
    switch (op->opc) {
#define X(name, e) case INDEX_op_##name##_i32: seg_emit_binary(s, SEG_OP_##name, args); break;
    SEG_BINARY_OPS(X)
#undef X
#define X(name, e) case INDEX_op_##name##_i32: seg_emit_unary(s, SEG_OP_##name, args); break;
    SEG_UNARY_OPS(X)
#undef X
#define X(name, type) case INDEX_op_##name##_i32: seg_emit_host_access(s, SEG_OP_##name##_at, args, false); break;
    SEG_HOST_LOADS(X)
#undef X
#define X(name, type) case INDEX_op_##name##_i32: seg_emit_host_access(s, SEG_OP_##name##_at, args, true); break;
    SEG_HOST_STORES(X)
#undef X
    case INDEX_op_movi_i32:
        seg_emit_movi(s, args[0], args[1]);
        break;
    case INDEX_op_brcond_i32:
        seg_emit_brcond(s, args);
        break;
    case INDEX_op_setcond_i32:
        seg_emit_setcond(s, args);
        break;
    case INDEX_op_movcond_i32:
        seg_emit_plain(s, SEG_OP_movcond_eq + seg_condition(args[5]), args, 1, 4);
        break;
    case INDEX_op_brcond2_i32:
        seg_emit_plain(s, SEG_OP_brcond2, args, 0, 4);
        tcg_out32(s, args[4]);
        seg_out_label(s, arg_label(args[5]));
        break;
    case INDEX_op_setcond2_i32:
        seg_emit_plain(s, SEG_OP_setcond2, args, 1, 4);
        tcg_out32(s, args[5]);
        break;
    case INDEX_op_deposit_i32:
        seg_emit_plain(s, SEG_OP_deposit, args, 1, 2);
        tcg_out32(s, args[3]);
        tcg_out32(s, args[4] == 32 ? ~0u : (1u << args[4]) - 1);
        break;
    case INDEX_op_extract_i32:
        seg_emit_plain(s, SEG_OP_extract, args, 1, 1);
        tcg_out32(s, args[2]);
        tcg_out32(s, args[3] == 32 ? ~0u : (1u << args[3]) - 1);
        break;
    case INDEX_op_sextract_i32:
        seg_emit_plain(s, SEG_OP_sextract, args, 1, 1);
        tcg_out32(s, 32 - args[2] - args[3]);
        tcg_out32(s, 32 - args[3]);
        break;
    case INDEX_op_extract2_i32:
        seg_emit_plain(s, SEG_OP_extract2, args, 1, 2);
        tcg_out32(s, args[3]);
        break;
    case INDEX_op_add2_i32:
        seg_emit_plain(s, SEG_OP_add2, args, 2, 4);
        break;
    case INDEX_op_sub2_i32:
        seg_emit_plain(s, SEG_OP_sub2, args, 2, 4);
        break;
    case INDEX_op_mulu2_i32:
        seg_emit_plain(s, SEG_OP_mulu2, args, 2, 2);
        break;
    case INDEX_op_muls2_i32:
        seg_emit_plain(s, SEG_OP_muls2, args, 2, 2);
        break;
    case INDEX_op_br:
        tcg_out32(s, SEG_OP_br);
        seg_out_label(s, arg_label(args[0]));
        break;
    case INDEX_op_exit_tb:
        tcg_out32(s, SEG_OP_exit);
        tcg_out32(s, args[0]);
        break;
    case INDEX_op_goto_tb:
        tcg_out32(s, SEG_OP_goto_tb);
        s->tb_jmp_insn_offset[args[0]] = tcg_current_code_size(s);
        tcg_out32(s, 0);
        set_jmp_reset_offset(s, args[0]);
        break;
    case INDEX_op_qemu_ld_i32:
        seg_emit_guest_access(s, args, false, false, args[1], 0);
        break;
    case INDEX_op_qemu_st_i32:
        seg_emit_guest_access(s, args, true, false, args[1], 0);
        break;
    case INDEX_op_qemu_ld_i64:
        seg_emit_guest_access(s, args, false, true, args[2], 0);
        break;
    case INDEX_op_qemu_st_i64:
        seg_emit_guest_access(s, args, true, true, args[2], 0);
        break;
    case INDEX_op_mb:
        break;
    default:
        __builtin_trap();
    }
}

/* ---- improving the ops before they are emitted */

/* Ops that look at CPU state behind TCG's back, or may raise a fault that must see it: a register must not change before one that came after. */
static bool seg_is_barrier(const TCGContext *s, const TCGOp *op)
{
    return op->opc == INDEX_op_call || (s->tcg_op_defs[op->opc].flags & (TCG_OPF_BB_END | TCG_OPF_SIDE_EFFECTS)) || op->opc == INDEX_op_set_label ||
           op->opc == INDEX_op_insn_start;
}

static bool seg_mentions(const TCGContext *s, const TCGOp *op, TCGArg temp)
{
    const TCGOpDef *def = &s->tcg_op_defs[op->opc];
    int i, n = def->nb_oargs + def->nb_iargs;
    for (i = 0; i < n; i++) {
        if (op->args[i] == temp) {
            return true;
        }
    }
    return false;
}

/*
 * `op t, ...; ...; mov G, t` where t dies: computes into G at once and drops the mov. Between the two nothing may use G or see CPU
 * state from outside; other uses of t in between read G instead.
 */
static bool seg_retarget(TCGContext *s, TCGOp *mov)
{
    TCGArg to = mov->args[0], from = mov->args[1];
    TCGOp *op = mov;
    int steps;
    if (!seg_is_normal(arg_temp(from)) || seg_is_normal(arg_temp(to)) || !(mov->life & (DEAD_ARG << 1))) {
        return false;
    }
    for (steps = 0; steps < 16; steps++) {
        op = QTAILQ_PREV(op, link);
        if (!op || op->opc == INDEX_op_discard || op->opc == INDEX_op_insn_start || op->opc == INDEX_op_set_label || op->opc == INDEX_op_call) {
            return false;
        }
        const TCGOpDef *def = &s->tcg_op_defs[op->opc];
        bool defines = def->nb_oargs == 1 && op->args[0] == from;
        if (defines) {
            if (op->opc == INDEX_op_movi_i32) {
                return false;
            }
            break;
        }
        if (def->nb_oargs > 1 && (op->args[0] == from || op->args[1] == from)) {
            return false;
        }
        if (seg_mentions(s, op, to) || seg_is_barrier(s, op)) {
            return false;
        }
    }
    if (steps == 16) {
        return false;
    }
    op->args[0] = to;
    for (TCGOp *between = QTAILQ_NEXT(op, link); between != mov; between = QTAILQ_NEXT(between, link)) {
        const TCGOpDef *def = &s->tcg_op_defs[between->opc];
        for (int i = def->nb_oargs; i < def->nb_oargs + def->nb_iargs; i++) {
            if (between->args[i] == from) {
                between->args[i] = to;
            }
        }
    }
    return true;
}

static void seg_improve(TCGContext *s)
{
    TCGOp *op, *next;
    QTAILQ_FOREACH_SAFE(op, &s->ops, link, next) {
        if (op->opc == INDEX_op_mov_i32 && seg_retarget(s, op)) {
            tcg_op_remove(s, op);
        }
    }
}

/* `add t, base, constant` followed by an access through t, which dies there: the constant becomes the displacement. */
static bool seg_fold_address(TCGContext *s, TCGOp *op, TCGOp *next)
{
    uint32_t displacement;
    bool wide, store;
    if (!next) {
        return false;
    }
    switch (next->opc) {
    case INDEX_op_qemu_ld_i32: wide = false, store = false; break;
    case INDEX_op_qemu_st_i32: wide = false, store = true; break;
    case INDEX_op_qemu_ld_i64: wide = true, store = false; break;
    case INDEX_op_qemu_st_i64: wide = true, store = true; break;
    default: return false;
    }
    int at = wide ? 2 : 1;
    if (op->args[0] != next->args[at] || !seg_is_normal(arg_temp(op->args[0])) || !(next->life & (DEAD_ARG << at)) ||
        (store && (next->args[0] == op->args[0] || (wide && next->args[1] == op->args[0]))) || !seg_constant(s, op->args[2], &displacement)) {
        return false;
    }
    seg_emit_guest_access(s, next->args, store, wide, op->args[1], displacement);
    return true;
}

/* ---- a whole block */

static void seg_note_instruction(TCGContext *s, const TCGOp *op, int *instructions)
{
    if (*instructions >= 0) {
        s->gen_insn_end_off[*instructions] = tcg_current_code_size(s);
    }
    ++*instructions;
    for (int i = 0; i < TARGET_INSN_START_WORDS; i++) {
        s->gen_insn_data[*instructions][i] = op->args[i];
    }
}

/* As tcg_gen_code: bytes of code, -1 where the buffer is full, -2 where the block must be made smaller. */
static int seg_gen_code(TCGContext *s, TranslationBlock *tb)
{
    TCGOp *op, *next;
    int instructions = -1;

    seg.env = (uintptr_t)s->uc->cpu->env_ptr;
    seg.check_alignment = tb->flags & AC_MASK;
    seg.pool_size = seg.uses_size = 0;
    seg.overflow = false;
    seg_forget_constants(s);
    seg_improve(s);

    s->code_buf = s->code_ptr = tb->tc.ptr;
    tcg_out32(s, SEG_OP_block);
    tcg_out32(s, (uint32_t)(uintptr_t)tb);
    tcg_out32(s, tb->icount);

    QTAILQ_FOREACH_SAFE(op, &s->ops, link, next) {
        switch (op->opc) {
        case INDEX_op_insn_start:
            seg_note_instruction(s, op, &instructions);
            break;
        case INDEX_op_discard:
            break;
        case INDEX_op_set_label:
            seg_forget_constants(s);
            tcg_out_label(s, arg_label(op->args[0]), s->code_ptr);
            break;
        case INDEX_op_call:
            if (next && next->opc == INDEX_op_goto_ptr) {
                /* helper_lookup_tb_ptr and the jump to what it found */
                tcg_out32(s, SEG_OP_goto_next);
                next = QTAILQ_NEXT(next, link);
                break;
            }
            seg_emit_call(s, op);
            break;
        case INDEX_op_add_i32:
            if (seg_fold_address(s, op, next)) {
                next = QTAILQ_NEXT(next, link);
                break;
            }
            /* fall through */
        default:
            seg_emit_op(s, op);
            if (s->tcg_op_defs[op->opc].flags & TCG_OPF_BB_END) {
                seg_forget_constants(s);
            }
        }
        if ((void *)(s->code_ptr + SEG_POOL_MAX) > s->code_gen_highwater) {
            return -1;
        }
        if (seg.overflow || tcg_current_code_size(s) > UINT16_MAX - sizeof(seg.pool)) {
            return -2;
        }
    }
    s->gen_insn_end_off[instructions] = tcg_current_code_size(s);
    seg_out_pool_finish(s);
    tcg_resolve_relocs(s);
    return tcg_current_code_size(s);
}
