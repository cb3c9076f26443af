/* Seven instructions a turn: a load and a store through a pointer that walks over 16 KB. */
    .include "count.inc"
    .lcomm memory, 16384
    .p2align 4
loop:
    movl memory(%ebx), %eax
    addl %edi, %eax
    movl %eax, memory(%ebx)
    addl $4, %ebx
    andl $16383, %ebx
    decl %edi
    jnz loop
    jmp done
