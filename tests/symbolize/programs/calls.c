// Says where its functions are, then waits until standard input is closed.
#include <stdio.h>
#include <stdlib.h>

__attribute__((noinline)) int exported_work(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += i ^ (sum << 1);
    return sum;
}

static __attribute__((noinline)) int private_work(int n) { return exported_work(n) + n; }

// the call is its last instruction: the return address belongs to the next function
__attribute__((noinline, noreturn)) void ends_in_a_call(void) { abort(); }

// a label inside a function, and a symbol nested in another one
__asm__(".text\n.globl outer_code\n.type outer_code,@function\nouter_code:\n nop\n nop\n"
        ".type inner_code,@function\ninner_code:\n nop\n nop\n.size inner_code,2\n"
        " nop\n nop\n ret\n.size outer_code,7\n");
extern char outer_code[];

int main(void) {
    printf("exported_work %p\nprivate_work %p\nends_in_a_call %p\nouter_code %p\nmain %p\n", (void *)exported_work,
           (void *)private_work, (void *)ends_in_a_call, (void *)outer_code, (void *)main);
    fflush(stdout);
    if (getchar() == 'x') ends_in_a_call();
    return private_work(3) == 1;
}
