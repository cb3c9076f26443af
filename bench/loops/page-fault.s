/* One first touch of an anonymous page a turn; every 1024 pages a new mapping takes the place of the old one. */
    .include "count.inc"
    .set PAGES, 1024
loop:
    xorl %ebp, %ebp
    pushl %edi
    movl $192, %eax             /* mmap2(0x30000000, PAGES * 4096, read|write, private|anonymous|fixed, -1, 0) */
    movl $0x30000000, %ebx
    movl $(PAGES * 4096), %ecx
    movl $3, %edx
    movl $0x32, %esi
    movl $-1, %edi
    int $0x80
    popl %edi
    movl $PAGES, %ecx
1:  movb $1, (%eax)
    addl $4096, %eax
    decl %edi
    jz done
    decl %ecx
    jnz 1b
    jmp loop
