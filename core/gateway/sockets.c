/* sockets.c -- the owner's listening sockets that its workers share (http/shared_socket.c).
 *
 * Opened when an address is added, closed when no configuration names it any more; in
 * between a reload finds them by their address, so that nobody who waits is lost. */
#include "gateway/gateway.h"

#include <stdio.h>

/* The same path, under another mode. */
static bool is_its_path(const struct shared_socket *s, const char *address) {
    size_t len = strlen(s->path);
    const char *path = address + strlen("unix:");
    bool same = len > 0 && strncmp(address, "unix:", 5) == 0 && strncmp(path, s->path, len) == 0;
    return same && (path[len] == '\0' || path[len] == '?');
}

int gateway_socket(struct perilune *g, const char *address, int *fd) {
    *fd = -1;
    if (!shared_socket_is(address)) return 0;
    for (unsigned i = 0; i < g->socket_count; i++)
        if (strcmp(g->sockets[i].address, address) == 0) {
            *fd = g->sockets[i].fd;
            return 0;
        }
    for (unsigned i = 0; i < g->socket_count; i++)
        if (is_its_path(&g->sockets[i], address)) {
            snprintf(g->errmsg, sizeof(g->errmsg), "cannot listen on %s: this process listens there as %s; for another "
                     "mode, start again", address, g->sockets[i].address);
            return PERILUNE_ERR_IO;
        }
    if (g->socket_count == SOCKETS_MOST) {
        snprintf(g->errmsg, sizeof(g->errmsg), "cannot listen on %s: too many addresses at once", address);
        return PERILUNE_ERR_IO;
    }
    struct shared_socket *s = &g->sockets[g->socket_count];
    int rc = shared_socket_open(s, address, g->errmsg, sizeof(g->errmsg));
    if (rc != 0) return rc;
    g->socket_count++;
    *fd = s->fd;
    return 0;
}

void gateway_keep_sockets(struct perilune *g, const struct listen_plan *p, const char *admin) {
    unsigned kept = 0;
    for (unsigned i = 0; i < g->socket_count; i++) {
        struct shared_socket *s = &g->sockets[i];
        bool keep = admin != NULL && strcmp(admin, s->address) == 0;
        for (unsigned k = 0; p != NULL && k < p->count; k++) keep |= strcmp(p->addresses[k], s->address) == 0;
        if (!keep) shared_socket_close(s);
        else g->sockets[kept++] = *s;
    }
    g->socket_count = kept;
}
