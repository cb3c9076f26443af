/* Four instructions a turn, one of them a store. */
    .include "count.inc"
    .lcomm memory, 64
    .p2align 4
loop:
    movl %eax, memory
    addl $3, %eax
    decl %edi
    jnz loop
    jmp done
