/* Four instructions a turn: a call and its return. */
    .include "count.inc"
    .p2align 4
loop:
    call leaf
    decl %edi
    jnz loop
    jmp done
    .p2align 4
leaf:
    ret
