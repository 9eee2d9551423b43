/* shared_socket.h -- listening sockets that all threads share: on a path, and those that somebody else opened.
 * See shared_socket.c. */
#ifndef PERILUNE_HTTP_SHARED_SOCKET_H
#define PERILUNE_HTTP_SHARED_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

struct shared_socket {
    char  address[128]; /* as configured */
    int   fd;           /* listens; ours */
    char  path[112];    /* made here, so removed at the end; empty: none */
    dev_t dev;          /* which file that was: another may stand there by now */
    ino_t ino;
    pid_t pid;          /* who made it: not the business of a child of fork() */
};

/* "unix:/path", "unix:/path?mode=660", "fd:3", "systemd:NAME", whatever stands behind the colon. */
bool shared_socket_is(const char *address);
/* 0, PERILUNE_ERR_INVAL or PERILUNE_ERR_IO, and a sentence in err. */
int  shared_socket_open(struct shared_socket *s, const char *address, char *err, size_t errlen);
/* Closes it, and removes its file when that is still the one. */
void shared_socket_close(struct shared_socket *s);

#endif
