/* sockets.c -- the owner's listening sockets that its workers share (http/shared_socket.c).
 *
 * Opened when an address is added, closed when no configuration names it any more; in
 * between a reload finds them by their address, so that nobody who waits is lost.
 *
 * A path with another mode is another address, and the same socket: workers listen on it under both
 * addresses until it is known whether the configuration is taken up, and then it has the one or the other. */
#include "gateway/gateway.h"

#include <errno.h>
#include <stdio.h>

static int refuse(struct perilune *g, const char *address, const char *why, const char *other) {
    snprintf(g->errmsg, sizeof(g->errmsg), "cannot listen on %s: %s%s", address, why, other);
    return PERILUNE_ERR_IO;
}

static int refuse_path(struct perilune *g, const char *address, const char *other) {
    return refuse(g, address, "the same path is listened on as ", other);
}

/* 0, with s asked for under the address. */
static int ask_again(struct perilune *g, struct shared_socket *s, const char *address) {
    if (strcmp(s->address, address) == 0) {
        if (s->next[0] != '\0') return refuse_path(g, address, s->next);
        s->asked = true;
        return 0;
    }
    const char *other = s->next[0] != '\0' ? s->next : s->address;
    if (s->asked && strcmp(other, address) != 0) return refuse_path(g, address, other);
    int rc = shared_socket_check(address, g->errmsg, sizeof(g->errmsg));
    if (rc != 0) return rc;
    snprintf(s->next, sizeof(s->next), "%s", address);
    s->asked = true;
    return 0;
}

static struct shared_socket *find(struct perilune *g, const char *address) {
    for (unsigned i = 0; i < g->socket_count; i++) {
        struct shared_socket *s = &g->sockets[i];
        if (strcmp(s->address, address) == 0 || shared_socket_is_path_of(s, address)) return s;
    }
    return NULL;
}

int gateway_socket(struct perilune *g, const char *address, int *fd) {
    *fd = -1;
    if (!shared_socket_is(address)) return 0;
    struct shared_socket *s = find(g, address);
    if (s != NULL) {
        int rc = ask_again(g, s, address);
        if (rc == 0) *fd = s->fd;
        return rc;
    }
    if (g->socket_count == SOCKETS_MOST) return refuse(g, address, "too many addresses at once", "");
    s = &g->sockets[g->socket_count];
    int rc = shared_socket_open(s, address, g->errmsg, sizeof(g->errmsg));
    if (rc != 0) return rc;
    s->asked = true;
    g->socket_count++;
    *fd = s->fd;
    return 0;
}

static bool is_named(const struct listen_plan *p, const char *admin, const char *address) {
    bool named = admin != NULL && strcmp(admin, address) == 0;
    for (unsigned i = 0; p != NULL && i < p->count; i++) named |= strcmp(p->addresses[i], address) == 0;
    return named;
}

static void settle(struct perilune *g, struct shared_socket *s, const struct listen_plan *p, const char *admin) {
    bool moves = s->next[0] != '\0' && is_named(p, admin, s->next);
    if (moves && !shared_socket_move(s))
        log_line(&g->log, PERILUNE_LOG_ERROR, "the mode of %s cannot be set: %s", s->address, strerror(errno));
    s->next[0] = '\0';
    s->asked = false;
}

void gateway_keep_sockets(struct perilune *g, const struct listen_plan *p, const char *admin) {
    unsigned kept = 0;
    for (unsigned i = 0; i < g->socket_count; i++) {
        struct shared_socket *s = &g->sockets[i];
        settle(g, s, p, admin);
        if (is_named(p, admin, s->address)) g->sockets[kept++] = *s;
        else shared_socket_close(s);
    }
    g->socket_count = kept;
}
