/* redis_world.h -- a Redis of the tests' own, if there is one to start. */
#ifndef PERILUNE_TESTS_REDIS_WORLD_H
#define PERILUNE_TESTS_REDIS_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int redis_world_answers(const char *path) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int ok = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    if (fd >= 0) close(fd);
    return ok;
}

/* Tests run in children of one program: all of them share a server, which ends with that program. */
static void redis_world_start(const char *dir) {
    static const char script[] =
        "s=$(command -v redis-server || command -v valkey-server || command -v redis-check-rdb) || exit 1\n"
        "mkdir -p \"$0\" && ln -sf \"$s\" \"$0/redis-server\" || exit 1\n"
        "\"$0/redis-server\" --port 0 --unixsocket \"$0/sock\" --dir \"$0\" --save '' --appendonly no "
        ">/dev/null 2>&1 &\n"
        "server=$!\n"
        "while kill -0 $1 2>/dev/null && kill -0 $server 2>/dev/null; do sleep 0.3; done\n"
        "kill $server; rm -rf \"$0\"\n";
    char parent[16];
    snprintf(parent, sizeof(parent), "%d", (int)getppid());
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() != 0) _exit(0); /* nobody's child: it outlives this one */
        if (setsid() < 0) _exit(1);
        for (int fd = 0; fd < 1024; fd++) close(fd);
        execl("/bin/sh", "sh", "-c", script, dir, parent, (char *)NULL);
        _exit(1);
    }
    if (pid > 0) waitpid(pid, NULL, 0);
}

/* Its socket; NULL: there is no server on this machine. */
static __attribute__((unused)) const char *redis_world_socket(void) {
    static char path[64];
    char dir[48];
    if (path[0] != '\0') return path;
    if (system("command -v redis-server >/dev/null || command -v valkey-server >/dev/null || "
               "command -v redis-check-rdb >/dev/null") != 0) {
        static int said;
        if (!said++) fprintf(stderr, "SKIPPED: cases with Redis, there is no redis-server (apt: redis-tools)\n");
        return NULL;
    }
    snprintf(dir, sizeof(dir), "/tmp/perilune-redis-%d", (int)getppid());
    snprintf(path, sizeof(path), "%s/sock", dir);
    if (!redis_world_answers(path)) redis_world_start(dir);
    for (int i = 0; i < 500 && !redis_world_answers(path); i++) usleep(10000);
    return path;
}

#endif
