/* wake.c -- the least that a token can cost, for local_cost.lua: a thread asleep in epoll is rung by another one, reads
 * the bell, and sends some 200 bytes over a loopback connection that somebody reads.
 *
 *     bench_wake MICROSECONDS_BETWEEN COUNT       prints the CPU microseconds of that thread for each
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int bell, out_fd, in_fd;
static long count, between;
static double cpu_us;

static double thread_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void *reader(void *arg) {
    char room[4096];
    (void)arg;
    while (read(in_fd, room, sizeof(room)) > 0) continue;
    return NULL;
}

static void *sleeper(void *arg) {
    static char frame[200];
    eventfd_t rings;
    struct epoll_event e = { .events = EPOLLIN };
    int ep = epoll_create1(0);
    (void)arg;
    epoll_ctl(ep, EPOLL_CTL_ADD, bell, &e);
    double before = thread_us();
    for (long i = 0; i < count; i++) {
        if (epoll_wait(ep, &e, 1, -1) != 1 || eventfd_read(bell, &rings) != 0) break;
        if (send(out_fd, frame, sizeof(frame), MSG_NOSIGNAL) < 0) break;
    }
    cpu_us = (thread_us() - before) / (double)count;
    close(ep);
    return NULL;
}

static int connect_both(void) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(at);
    int door = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(door, (struct sockaddr *)&at, len) != 0 || listen(door, 1) != 0) return -1;
    getsockname(door, (struct sockaddr *)&at, &len);
    out_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(out_fd, (struct sockaddr *)&at, len) != 0) return -1;
    in_fd = accept(door, NULL, NULL);
    return in_fd < 0 ? -1 : 0;
}

int main(int argc, char **argv) {
    pthread_t a, b;
    between = argc > 1 ? atol(argv[1]) : 4000;
    count = argc > 2 ? atol(argv[2]) : 500;
    bell = eventfd(0, EFD_CLOEXEC);
    if (connect_both() != 0) return 1;
    if (pthread_create(&a, NULL, reader, NULL) != 0 || pthread_create(&b, NULL, sleeper, NULL) != 0) return 1;
    for (long i = 0; i < count; i++) {
        struct timespec t = { 0, between * 1000 };
        nanosleep(&t, NULL);
        eventfd_write(bell, 1);
    }
    pthread_join(b, NULL);
    shutdown(out_fd, SHUT_RDWR);
    pthread_join(a, NULL);
    printf("%.2f us\n", cpu_us);
    return 0;
}
