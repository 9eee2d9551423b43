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
    char  next[128];    /* the same path with another mode, as a configuration says that is being taken up; or empty */
    bool  asked;        /* by that one */
};

/* "unix:/path", "unix:/path?mode=660", "fd:3", "systemd:NAME", whatever stands behind the colon. */
bool shared_socket_is(const char *address);
/* 0, PERILUNE_ERR_INVAL or PERILUNE_ERR_IO, and a sentence in err. */
int  shared_socket_open(struct shared_socket *s, const char *address, char *err, size_t errlen);
/* Is this address its path, under whatever mode? */
bool shared_socket_is_path_of(const struct shared_socket *s, const char *address);
/* Is that address well-formed?  Else PERILUNE_ERR_INVAL and a sentence. */
int  shared_socket_check(const char *address, char *err, size_t errlen);
/* It has the address `next` from now on, and that one's mode; without one it has what it had.  False: the mode could
 * not be set (errno). */
bool shared_socket_move(struct shared_socket *s);
/* Closes it, and removes its file when that is still the one. */
void shared_socket_close(struct shared_socket *s);

#endif
