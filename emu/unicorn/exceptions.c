/*
 * Exceptions and software interrupts: each ends the run with a trap for the host. Replaces Unicorn's excp_helper.c, whose page-table
 * walk, double faults and virtual machine exits have no place in user mode.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "uc_priv.h"
#include "seg386.h"

/* At the instruction that `ra` lies in (0: at eip as it is). */
static void QEMU_NORETURN leave(CPUX86State *env, int vector, int error_code, uintptr_t ra)
{
    env_cpu(env)->exception_index = vector;
    env->error_code = error_code;
    cpu_loop_exit_restore(env_cpu(env), ra);
}

/*
 * int3 and into reach their handlers, as on Linux, as traps: eip is after the instruction. Any other `int n` asks for a gate that user
 * mode may not use: a general protection fault with the gate's number.
 */
void helper_raise_interrupt(CPUX86State *env, int vector, int next_eip_addend)
{
    if (vector != EXCP03_INT3 && vector != EXCP04_INTO) {
        leave(env, EXCP0D_GPF, vector * 8 + 2, GETPC());
    }
    env->eip += next_eip_addend;
    leave(env, vector, 0, 0);
}

/* What the translator raises for an instruction that cannot be executed: the instruction does not count as run. */
void helper_raise_exception(CPUX86State *env, int vector) { leave(env, vector, 0, GETPC()); }

/* into, from its helper */
void QEMU_NORETURN raise_interrupt(CPUX86State *env, int vector, int is_int, int error_code, int next_eip_addend)
{
    env->eip += next_eip_addend;
    leave(env, vector, error_code, 0);
}

void QEMU_NORETURN raise_exception(CPUX86State *env, int vector) { leave(env, vector, 0, 0); }
void QEMU_NORETURN raise_exception_ra(CPUX86State *env, int vector, uintptr_t ra) { leave(env, vector, 0, ra); }
void QEMU_NORETURN raise_exception_err(CPUX86State *env, int vector, int error_code) { leave(env, vector, error_code, 0); }
void QEMU_NORETURN raise_exception_err_ra(CPUX86State *env, int vector, int error_code, uintptr_t ra) { leave(env, vector, error_code, ra); }

void cpu_loop_exit(CPUState *cpu)
{
    siglongjmp(cpu->uc->jmp_bufs[0], 1);
}

void cpu_loop_exit_noexc(CPUState *cpu)
{
    cpu->exception_index = -1;
    cpu_loop_exit(cpu);
}

void cpu_loop_exit_restore(CPUState *cpu, uintptr_t pc)
{
    if (pc) {
        cpu_restore_state(cpu, pc, true);
    }
    cpu_loop_exit(cpu);
}

void cpu_loop_exit_atomic(CPUState *cpu, uintptr_t pc)
{
    seg_host_panic("an atomic operation asked for more than one CPU");
}
