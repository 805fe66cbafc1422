/* A server in the manner of redis: one thread, epoll, GET of a small value over TCP on the loopback device.
 * A child is its client: CLIENTS connections, each with one request in flight, until REQUESTS have been answered.
 * usage: serve REQUESTS
 * Prints: requests, CPU nanoseconds of the server from the first request to the last. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 16, KEYS = 1024, VALUE = 32 };

static char table[KEYS][VALUE];

static uint64_t cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec * 1000000000ull + at.tv_nsec;
}

static void check(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    _exit(1);
}

static void nodelay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Requests are so short that each arrives, and is answered, in one piece. */
static void ask(int fd, uint64_t n)
{
    char request[64];
    int length = snprintf(request, sizeof request, "*2\r\n$3\r\nGET\r\n$8\r\nkey:%04u\r\n", (unsigned)(n * 7919 % KEYS));
    check(write(fd, request, length) == length, "client: write");
}

static void client(uint16_t port, uint64_t requests)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[CLIENTS];
    uint64_t asked = 0, answered = 0;
    int poll = epoll_create1(0);
    char reply[128];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < CLIENTS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct epoll_event want = {.events = EPOLLIN, .data.fd = fd};
        check(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "client: connect");
        nodelay(fd);
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &want);
        if (asked < requests)
            ask(fd, asked++);
    }
    while (answered < requests) {
        int n = epoll_wait(poll, events, CLIENTS, -1);
        for (int i = 0; i < n; i++) {
            check(read(events[i].data.fd, reply, sizeof reply) > 0, "client: read");
            answered++;
            if (asked < requests)
                ask(events[i].data.fd, asked++);
        }
    }
    _exit(0);
}

static void answer(int fd, char *request, ssize_t length)
{
    char reply[VALUE + 16];
    request[length] = 0;
    char *key = strstr(request, "key:");
    check(key != NULL, "server: request");
    int n = snprintf(reply, sizeof reply, "$%d\r\n%s\r\n", VALUE - 1, table[atoi(key + 4) % KEYS]);
    check(write(fd, reply, n) == n, "server: write");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    uint64_t requests = strtoull(argv[1], NULL, 10), answered = 0, began = 0;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    struct epoll_event events[CLIENTS + 1];
    int listening = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), status;
    struct epoll_event want = {.events = EPOLLIN, .data.fd = listening};
    char request[256];

    memset(table, 'v', sizeof table);
    for (int i = 0; i < KEYS; i++)
        table[i][VALUE - 1] = 0;
    check(bind(listening, (struct sockaddr *)&at, size) == 0 && listen(listening, CLIENTS) == 0, "listen");
    getsockname(listening, (struct sockaddr *)&at, &size);
    epoll_ctl(poll, EPOLL_CTL_ADD, listening, &want);
    pid_t child = fork();
    if (child == 0)
        client(ntohs(at.sin_port), requests);
    while (answered < requests) {
        int n = epoll_wait(poll, events, CLIENTS + 1, 5000);
        check(n > 0, "server: epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listening) {
                struct epoll_event more = {.events = EPOLLIN, .data.fd = accept(listening, NULL, NULL)};
                nodelay(more.data.fd);
                epoll_ctl(poll, EPOLL_CTL_ADD, more.data.fd, &more);
                continue;
            }
            began = began ? began : cpu_ns();
            ssize_t length = read(fd, request, sizeof request - 1);
            if (length <= 0) {
                close(fd);
                continue;
            }
            answer(fd, request, length);
            answered++;
        }
    }
    uint64_t spent = cpu_ns() - began;
    check(waitpid(child, &status, 0) == child && status == 0, "client");
    printf("%llu %llu\n", (unsigned long long)answered, (unsigned long long)spent);
    return 0;
}
