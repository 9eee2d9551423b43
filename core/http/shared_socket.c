/* shared_socket.c -- listening sockets that all threads share: on a path, and those that somebody else opened.
 *
 *     unix:/run/perilune.sock?mode=660   made here
 *     fd:3                               the host's, or the shell's: a number
 *     systemd:NAME                       of a .socket unit (sd_listen_fds(3)): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES
 *
 * An address of TCP is bound once per thread, and the kernel deals connections out.  These
 * cannot be: the owner's thread opens one, and each worker listens on a duplicate of it;
 * whoever is there first accepts.
 *
 * A path.  What a dead process left behind is replaced; where somebody listens, or where
 * something is that is no socket, we refuse.  Two that start at once would both see the dead
 * one, so looking and binding happen under a lock of the folder (flock: gone with the
 * process, and no file of its own).  At the end the file goes, when it is still ours: a
 * successor may have put his there.  Its mode is narrowed before it has a name, and set
 * after that (the process's umask is not ours to change).  Another mode of a path where we listen is
 * set when the configuration that says so has been taken up as a whole.
 *
 * A descriptor of others is duplicated: theirs stays open, and with it the kernel's queue,
 * so that after a reload, or in the next process of a .socket unit, nobody was refused. */
#include "http/shared_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "include/perilune.h"

#define BACKLOG    4096 /* as for TCP (server.c) */
#define FIRST_FD   3    /* SD_LISTEN_FDS_START */
#define MOST_FDS   1024 /* more are not looked at */
#define LOCK_TRIES 100  /* of 10 ms, until another one that starts has bound */
#define NO_MODE    ((mode_t)-1)

static const char unix_is[] = "unix:", fd_is[] = "fd:", systemd_is[] = "systemd:";

static const char *behind(const char *address, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(address, prefix, n) == 0 ? address + n : NULL;
}

bool shared_socket_is(const char *address) {
    return behind(address, unix_is) || behind(address, fd_is) || behind(address, systemd_is);
}

static int say(int rc, char *err, size_t errlen, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static int say(int rc, char *err, size_t errlen, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err, errlen, fmt, ap);
    va_end(ap);
    return rc;
}

/* "cannot listen on ADDRESS: " and why. */
static int refuse(const struct shared_socket *s, char *err, size_t errlen, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static int refuse(const struct shared_socket *s, char *err, size_t errlen, const char *fmt, ...) {
    char why[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    return say(PERILUNE_ERR_IO, err, errlen, "cannot listen on %s: %s", s->address, why);
}

/* -- A path ------------------------------------------------------------------------------------ */

/* "/path?mode=660" -> the path, and the mode or NO_MODE. */
static int split_path(struct shared_socket *s, const char *text, mode_t *mode, char *err, size_t errlen) {
    const char *query = strchr(text, '?'), *digits = query && strncmp(query, "?mode=", 6) == 0 ? query + 6 : "";
    size_t len = query ? (size_t)(query - text) : strlen(text);
    char *end = NULL;
    *mode = query ? (mode_t)strtoul(digits, &end, 8) : NO_MODE;
    if (query != NULL && (digits[0] < '0' || digits[0] > '7' || *end != '\0' || *mode > 0777))
        return say(PERILUNE_ERR_INVAL, err, errlen, "'%s': behind a path stands a mode of three octal digits, as in "
                                                    "?mode=660, or nothing",
                   s->address);
    if (text[0] != '/' || len < 2)
        return say(PERILUNE_ERR_INVAL, err, errlen, "'%s': a path begins with a slash: unix:/run/perilune.sock",
                   s->address);
    if (len >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return say(PERILUNE_ERR_INVAL, err, errlen, "'%s': the path of a socket has at most 107 bytes", s->address);
    memcpy(s->path, text, len);
    s->path[len] = '\0';
    return 0;
}

static int lock_folder(const char *path) {
    char folder[112];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    slash[slash == folder] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || i == LOCK_TRIES) break; /* better without than not at all */
        nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
    }
    return fd;
}

/* Makes room at the path, or says who is there. */
static int clear_path(const struct shared_socket *s, const struct sockaddr_un *a, char *err, size_t errlen) {
    struct stat st;
    if (lstat(s->path, &st) != 0) return 0;
    if (!S_ISSOCK(st.st_mode))
        return refuse(s, err, errlen, "there is something that is no socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) != 0 && errno == ECONNREFUSED;
    if (fd >= 0) close(fd);
    if (!dead)
        return refuse(s, err, errlen, "somebody listens there, or may");
    if (unlink(s->path) == 0 || errno == ENOENT) return 0;
    return refuse(s, err, errlen, "what was left there cannot be removed: %s",
               strerror(errno));
}

static int bind_path(struct shared_socket *s, mode_t mode, char *err, size_t errlen) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct stat st;
    memcpy(a.sun_path, s->path, strlen(s->path));
    int rc = clear_path(s, &a, err, errlen);
    if (rc != 0) return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && (mode == NO_MODE || fchmod(fd, mode) == 0), bound = false;
    ok = ok && (bound = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    ok = ok && (mode == NO_MODE || chmod(s->path, mode) == 0) && listen(fd, BACKLOG) == 0 && lstat(s->path, &st) == 0;
    if (!ok) {
        refuse(s, err, errlen, "%s", strerror(errno));
        if (bound) unlink(s->path);
        if (fd >= 0) close(fd);
        return PERILUNE_ERR_IO;
    }
    s->fd = fd;
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    return 0;
}

static int open_path(struct shared_socket *s, const char *text, char *err, size_t errlen) {
    mode_t mode;
    int rc = split_path(s, text, &mode, err, errlen);
    if (rc == 0) {
        int lock = lock_folder(s->path);
        rc = bind_path(s, mode, err, errlen);
        if (lock >= 0) close(lock);
    }
    if (rc != 0) s->path[0] = '\0';
    return rc;
}

/* -- Descriptors ---------------------------------------------------------------------------------- */

static int option(int fd, int name) {
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static int take_descriptor(struct shared_socket *s, int fd, char *err, size_t errlen) {
    int family = option(fd, SO_DOMAIN);
    if (family < 0)
        return refuse(s, err, errlen, "descriptor %d is not open, or no socket", fd);
    if (option(fd, SO_TYPE) != SOCK_STREAM || option(fd, SO_ACCEPTCONN) != 1 ||
        (family != AF_INET && family != AF_INET6 && family != AF_UNIX))
        return refuse(s, err, errlen, "descriptor %d is no stream socket that listens (TCP or "
                   "unix)", fd);
    /* Of a socket, not of a descriptor: a worker that comes second must not wait in accept(). */
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0) s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (s->fd >= 0) return 0;
    return refuse(s, err, errlen, "%s", strerror(errno));
}

static int open_number(struct shared_socket *s, const char *text, char *err, size_t errlen) {
    char *end;
    long n = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > 1 << 20)
        return say(PERILUNE_ERR_INVAL, err, errlen, "'%s': behind fd: stands the number of a descriptor", s->address);
    return take_descriptor(s, (int)n, err, errlen);
}

static long environment_number(const char *name) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : -1;
}

/* Is the name number i of LISTEN_FDNAMES this one? Without names all are "unknown". */
static bool has_name(const char *names, long i, const char *name) {
    if (names == NULL) return strcmp(name, "unknown") == 0;
    for (; i > 0 && names != NULL; i--) {
        names = strchr(names, ':');
        if (names != NULL) names++;
    }
    size_t len = strlen(name);
    return names != NULL && strncmp(names, name, len) == 0 && (names[len] == ':' || names[len] == '\0');
}

static int open_systemd(struct shared_socket *s, const char *name, char *err, size_t errlen) {
    const char *names = getenv("LISTEN_FDNAMES");
    long pid = environment_number("LISTEN_PID"), count = environment_number("LISTEN_FDS"), found = -1;
    if (pid < 0 || count < 1)
        return refuse(s, err, errlen, "systemd has passed no sockets (LISTEN_FDS); is a "
                   ".socket unit started for this service?");
    if (pid != (long)getpid())
        return refuse(s, err, errlen, "systemd's sockets are for process %ld (LISTEN_PID), "
                   "this is %ld", pid, (long)getpid());
    for (long i = 0; i < count && i < MOST_FDS; i++) {
        fcntl(FIRST_FD + (int)i, F_SETFD, FD_CLOEXEC); /* as sd_listen_fds() does: they are for no child */
        if (!has_name(names, i, name)) continue;
        if (found >= 0)
            return refuse(s, err, errlen, "several of systemd's sockets have this name; "
                       "give each its own FileDescriptorName=, or write fd:%ld, fd:%ld", FIRST_FD + found,
                          FIRST_FD + i);
        found = i;
    }
    if (found < 0)
        return refuse(s, err, errlen, "none of systemd's sockets has this name, they are: %s",
                   names ? names : "without names (LISTEN_FDNAMES); write fd:3");
    return take_descriptor(s, FIRST_FD + (int)found, err, errlen);
}

/* -- Both ----------------------------------------------------------------------------------------- */

int shared_socket_open(struct shared_socket *s, const char *address, char *err, size_t errlen) {
    const char *text;
    *s = (struct shared_socket){ .fd = -1, .pid = getpid() };
    if (strlen(address) >= sizeof(s->address))
        return say(PERILUNE_ERR_INVAL, err, errlen, "an address has at most 127 bytes");
    snprintf(s->address, sizeof(s->address), "%s", address);
    if ((text = behind(address, unix_is)) != NULL) return open_path(s, text, err, errlen);
    if ((text = behind(address, fd_is)) != NULL) return open_number(s, text, err, errlen);
    return open_systemd(s, behind(address, systemd_is), err, errlen);
}

/* Does our file still stand at the path? */
static bool has_file(const struct shared_socket *s) {
    struct stat st;
    return s->path[0] != '\0' && lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino;
}

bool shared_socket_is_path_of(const struct shared_socket *s, const char *address) {
    size_t len = strlen(s->path);
    const char *path = behind(address, unix_is);
    return len > 0 && path != NULL && strncmp(path, s->path, len) == 0 && (path[len] == '\0' || path[len] == '?');
}

int shared_socket_check(const char *address, char *err, size_t errlen) {
    struct shared_socket s = { .fd = -1 };
    mode_t mode;
    snprintf(s.address, sizeof(s.address), "%s", address);
    return split_path(&s, behind(address, unix_is), &mode, err, errlen);
}

bool shared_socket_move(struct shared_socket *s) {
    mode_t mode;
    memcpy(s->address, s->next, sizeof(s->address));
    s->next[0] = '\0';
    if (split_path(s, behind(s->address, unix_is), &mode, NULL, 0) != 0 || mode == NO_MODE) return true;
    errno = ENOENT;
    return has_file(s) && chmod(s->path, mode) == 0;
}

void shared_socket_close(struct shared_socket *s) {
    if (s->fd < 0) return;
    close(s->fd);
    s->fd = -1;
    if (s->pid == getpid() && has_file(s)) unlink(s->path);
}
