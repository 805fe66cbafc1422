# Functions without any call frame information that keep the frame pointer, as much code of just-in-time compilers does.
        .text
        .globl  bare_leaf
        .type   bare_leaf, @function
bare_leaf:
        pushq   %rbp
        movq    %rsp, %rbp
        subq    $48, %rsp
        movl    $5000, %ecx
        movq    %rdi, %rax
1:      imulq   $1000003, %rax, %rax
        addq    $12345, %rax
        decl    %ecx
        jnz     1b
        leave
        ret
        .size   bare_leaf, . - bare_leaf

        .globl  bare_caller
        .type   bare_caller, @function
bare_caller:
        pushq   %rbp
        movq    %rsp, %rbp
        subq    $96, %rsp
        call    under_bare
        leave
        ret
        .size   bare_caller, . - bare_caller
        .section .note.GNU-stack, "", @progbits
