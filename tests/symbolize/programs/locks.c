// Says where its locks are, then waits until standard input is closed, or for a line to call exec with.
// Arguments: a library with locks of its own, a name of shared memory, a file to map.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t data_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP; // not zero: in .data
static pthread_mutex_t bss_lock;
pthread_mutex_t global_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile char filler[1 << 20];
struct entry {
    long key;
    pthread_mutex_t lock;
};
struct entry table[64]; // behind the filler, far beyond the pages of the file
static _Thread_local pthread_mutex_t thread_lock;
static const char *const read_only[] = {"a", "b"};

// an object inside another one
__asm__(".data\n.balign 8\n.globl outer_object\n.type outer_object,@object\nouter_object:\n .zero 16\n"
        ".type inner_object,@object\ninner_object:\n .zero 16\n.size inner_object,16\n"
        " .zero 32\n.size outer_object,64\n.text\n");
extern char outer_object[];

static void say(const char *name, const volatile void *address) { printf("%s %p\n", name, address); }

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    pthread_mutex_t on_stack;
    void *library = dlopen(argv[1], RTLD_NOW);
    void (*say_library)(void (*)(const char *, const volatile void *)) = dlsym(library, "say_library");
    int shared = shm_open(argv[2], O_RDWR | O_CREAT, 0600);
    int file = open(argv[3], O_RDWR);
    int copy = open(argv[1], O_RDONLY);
    if (!say_library || shared < 0 || file < 0 || copy < 0 || ftruncate(shared, 4096)) return 3;
    filler[argc] = 1;
    say("data_lock", &data_lock);
    say("bss_lock", &bss_lock);
    say("global_lock", &global_lock);
    say("table", &table[40].lock);
    say("table_end", (char *)(table + 64) - 1);
    say("outer_object", outer_object);
    say("read_only", &read_only[1]);
    say_library(say);
    say("heap", malloc(sizeof(pthread_mutex_t)));
    say("large", malloc(8 << 20));
    say("stack", &on_stack);
    say("thread", &thread_lock);
    say("shm", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0));
    say("file", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    say("private_file", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0));
    say("library_as_data", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, copy, 0));
    say("anonymous_shared", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    fflush(stdout);
    char line[4096];
    if (scanf("%4095s", line) == 1) {
        if (line[0] == '/') execl(line, line, argv[1], argv[2], argv[3], (char *)0);
        dlclose(library);
        puts("closed 0");
        fflush(stdout);
        getchar();
        getchar();
    }
    return 0;
}
