# One function for each kind of rule. The code is never run: only the rules at each label are looked at.
.macro function name
    .globl \name
    .type \name, @function
\name:
    .cfi_startproc
.endm
.macro finish
    nop
    .cfi_endproc
    .skip 32
.endm
.macro step
    .skip 16
.endm

.text
function usual
    step                        # 0: rsp+8
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
    step                        # 1: rsp+16, rbp at cfa-16
    .cfi_def_cfa_register rbp
    step                        # 2: rbp+16
    .cfi_remember_state
    .cfi_def_cfa rsp, 8
    .cfi_restore rbp
    step                        # 3: rsp+8
    .cfi_restore_state
finish                          # 4: rbp+16, rbp at cfa-16

function far
    .skip 200
    .cfi_def_cfa_offset 24
    .skip 1000
    .cfi_def_cfa_offset 32
    .skip 70000
    .cfi_def_cfa_offset 40
finish

function outermost
    step                        # 0: rsp+8
    .cfi_undefined rip
    step                        # 1: end
    .cfi_def_cfa_offset 64
    step                        # 2: still the end
    .cfi_escape 0x06, 16        # restore_extended rip
finish                          # 3: rsp+64

function elsewhere
    .cfi_register rip, rdi
    step                        # 0: none
    .cfi_def_cfa_offset 16
    .cfi_offset rip, -8
    step                        # 1: rsp+16
    .cfi_offset rip, -24
    step                        # 2: none
    .cfi_same_value rip
finish                          # 3: none

function other_register
    .cfi_def_cfa r10, 16
    step                        # 0: none
    .cfi_def_cfa_offset 24
    step                        # 1: none
    .cfi_def_cfa_register rsp
finish                          # 2: rsp+24

function too_far
    .cfi_def_cfa_offset 32767
    step                        # 0: rsp+32767
    .cfi_def_cfa_offset 32768
    step                        # 1: rsp+32768
    .cfi_def_cfa_offset 262136
    step                        # 2: rsp+262136
    .cfi_def_cfa_offset 262132
    step                        # 3: none
    .cfi_def_cfa_offset 262144
    step                        # 4: none
    .cfi_def_cfa_offset 32768
    .cfi_def_cfa_register rbp
    step                        # 5: none
    .cfi_def_cfa_offset 16
    step                        # 6: rbp+16
    .cfi_offset rbp, -1024
    step                        # 7: rbp at cfa-1024
    .cfi_offset rbp, -1032
    step                        # 8: rbp undefined
    .cfi_escape 0x10, 6, 2, 0x76, 12            # expression rbp: breg6 12
finish                          # 9: rbp undefined

function frame_pointer
    .cfi_offset rbp, -16
    .cfi_undefined rbp
    step                        # 0: undefined
    .cfi_same_value rbp
    step                        # 1: same
    .cfi_register rbp, r9
    step                        # 2: undefined
    .cfi_escape 0x10, 6, 2, 0x76, 0x10          # expression rbp: breg6 16
    step                        # 3: *(rbp+16)
    .cfi_escape 0x10, 6, 2, 0x77, 0x10          # expression rbp: breg7 16
    step                        # 4: undefined
    .cfi_escape 0x16, 6, 2, 0x76, 0x10          # val_expression rbp: breg6 16
    step                        # 5: undefined
    .cfi_escape 0x14, 6, 2                      # val_offset rbp: cfa-16
    step                        # 6: undefined
    .cfi_escape 0x15, 6, 2                      # val_offset_sf
    step                        # 7: undefined
    .cfi_escape 0x05, 6, 4                      # offset_extended rbp: cfa-32
    step                        # 8
    .cfi_escape 0x11, 6, 0x7d                   # offset_extended_sf rbp: cfa+24
    step                        # 9
    .cfi_escape 0x2f, 6, 5                      # GNU_negative_offset_extended rbp: cfa+40
finish                          # 10

function signed
    .cfi_escape 0x12, 7, 0x7c                   # def_cfa_sf rsp: +32
    step                        # 0: rsp+32
    .cfi_escape 0x13, 2                         # def_cfa_offset_sf: -16
    step                        # 1: rsp-16
    .cfi_escape 0x2e, 0x90, 0x01                # GNU_args_size 144
    .cfi_escape 0x12, 3, 0x7c                   # def_cfa_sf rbx
    .cfi_escape 0x13, 0x7b                      # def_cfa_offset_sf: +40
    step                        # 2: none
    .cfi_escape 0x0d, 7                         # def_cfa_register rsp
finish                          # 3: rsp+40

function expressions
    .cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22
    step                        # 0: plt, 11
    .cfi_escape 0x0f, 3, 0x76, 0x78, 6          # breg6 -8; deref
    step                        # 1: *(rbp-8)
    .cfi_def_cfa_offset 80
    step                        # 2: still *(rbp-8)
    .cfi_escape 0x0f, 6, 0x77, 0x98, 0x01, 6, 0x23, 8   # breg7 152; deref; plus_uconst 8
    step                        # 3: *(rsp+152)+8
    .cfi_escape 0x0f, 6, 0x77, 0x98, 0x01, 6, 0x23, 64  # the same, plus 64
    step                        # 4: none
    .cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 6    # what only a signal frame has
    step                        # 5: none
    .cfi_escape 0x0f, 0                         # an empty expression
    step                        # 6: none
    .cfi_escape 0x0d, 7                         # def_cfa_register rsp
finish                          # 7: rsp+80

function trampoline
    .cfi_signal_frame
    .cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 6    # cfa: breg7 160; deref
    .cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0x00    # rbp: breg7 120
    .cfi_escape 0x10, 16, 3, 0x77, 0xa8, 0x01   # rip: breg7 168
finish                          # 0: signal

function other_trampoline
    .cfi_signal_frame
    .cfi_escape 0x0f, 4, 0x77, 0xa8, 0x01, 6    # cfa: another place
    .cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0x00
    .cfi_escape 0x10, 16, 3, 0x77, 0xa8, 0x01
finish                          # 0: none

function plain_trampoline
    .cfi_signal_frame
finish                          # 0: none, though the rules are the usual ones

function wide_advance
    step                        # 0: rsp+8
    .cfi_def_cfa_offset 16
    .cfi_escape 0x1d, 16, 0, 0, 0, 0, 0, 0, 0   # MIPS_advance_loc8: 16 bytes further
    .cfi_escape 0x0e, 24
    .skip 31
finish                          # 1: rsp+16, from 32 on: rsp+24

.section .note.GNU-stack,"",@progbits
