/* Four instructions a turn, none of which touches memory. */
    .include "count.inc"
    .p2align 4
loop:
    addl $3, %eax
    xorl %eax, %edx
    decl %edi
    jnz loop
    jmp done
