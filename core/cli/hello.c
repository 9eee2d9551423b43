/* hello.c -- what `perilune serve` says when it listens: an address, and a request that works.
 *
 * The request is one that this configuration answers: over its scheme, by its host, on a path that leads to a
 * model, for a model that is served, with a place for the key where clients need one.  Where no path leads to a
 * chat, it asks for the list of models. */
#include "cli/hello.h"

#include <stdio.h>
#include <string.h>

#include "gateway/gateway.h"
#include "local/resident.h"

struct asking {
    const struct route *route; /* NULL: none is needed */
    char                path[256]; /* "": no path leads to a chat */
};

/* Asks a route for nothing but its path. */
static bool asks_for_no_more(const struct route *r) {
    return r->host == NULL && r->tenant == NULL && r->header_count == 0;
}

static const struct route *find(const struct config *c, const char *path) {
    bool wrong_method;
    struct route_ask ask = { .method = SLICE("POST"), .path = slice_str(path), .tenant = SLICE("") };
    return routes_find(c->route_index, &ask, &wrong_method);
}

/* A path under which a route takes chats, into out. */
static bool path_under(const struct config *c, const struct route *r, char *out, size_t size) {
    static const char chat[] = "/chat/completions";
    size_t n = strlen(r->path);
    if (!asks_for_no_more(r)) return false;
    if (r->prefix) snprintf(out, size, "%.*s/v1%s", (int)(n > 0 && r->path[n - 1] == '/' ? n - 1 : n), r->path, chat);
    else snprintf(out, size, "%s", r->path);
    return slice_ends(slice_str(out), slice_str(chat)) && find(c, out) == r;
}

/* A model of this process may make vectors, or rank. */
static bool answers_chats(const struct target *t) {
    return t->engine == NULL || resident_facts(t->engine)->kind == PERILUNE_ENGINE_CHAT;
}

/* The name of an upstream is a model that it answers to.  NULL: none answers chats. */
static const char *model_of(const struct config *c, const struct asking *a) {
    if (a->route != NULL && a->route->upstream != NULL) return a->route->upstream;
    for (unsigned i = 0; i < c->target_count; i++)
        if (answers_chats(&c->targets[i])) return c->targets[i].name;
    return NULL;
}

static void choose(const struct config *c, struct asking *a) {
    static const char chat[] = "/v1/chat/completions";
    *a = (struct asking){ .route = find(c, chat) };
    if (c->target_count == 0) return;
    if (a->route != NULL || !c->guarded) snprintf(a->path, sizeof(a->path), "%s", chat);
    for (unsigned i = 0; a->path[0] == '\0' && i < c->route_count; i++)
        if (path_under(c, &c->routes[i], a->path, sizeof(a->path))) a->route = &c->routes[i];
        else a->path[0] = '\0';
    if (model_of(c, a) == NULL) a->path[0] = '\0';
}

static bool needs_key(const struct config *c, const struct asking *a) {
    for (unsigned i = 0; a->route != NULL && i < a->route->policy_count; i++)
        if (strcmp(a->route->policies[i], "auth_keys") == 0) return true;
    for (unsigned i = 0; i < c->target_count; i++)
        if (c->targets[i].key_from_client) return true;
    return false;
}

/* The host to ask: an address for all is ours by 127.0.0.1, too. */
static struct slice host_of(const struct config *c) {
    const char *address = c->listen_count > 0 ? c->listen[0] : "", *colon = strrchr(address, ':');
    struct slice host = slice_of(address, colon ? (size_t)(colon - address) : 0);
    bool any = host.len == 0 || shared_socket_is(address) ||
               slice_eq(host, SLICE("0.0.0.0")) || slice_eq(host, SLICE("[::]")) || host.ptr[0] == '*';
    return any ? SLICE("127.0.0.1") : host;
}

/* In single quotes of a shell. */
static void put_quoted(struct buf *out, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\'') buf_puts(out, "'\\''");
        else buf_putc(out, s.ptr[i]);
    }
}

void hello_write(const struct config *c, int port, struct buf *out) {
    struct asking a;
    choose(c, &a);
    const char *first = c->listen_count > 0 ? c->listen[0] : "", *query = strstr(first, "?mode=");
    bool is_path = strncmp(first, "unix:", 5) == 0;
    if (is_path) {
        buf_puts(out, "  curl -s --unix-socket '");
        put_quoted(out, slice_of(first + 5, query ? (size_t)(query - first - 5) : strlen(first + 5)));
        buf_printf(out, "' %s://localhost%s", c->tls_cert ? "-k https" : "http", a.path[0] ? a.path : "/v1/models");
    } else buf_printf(out, "  curl -s%s %s://%.*s:%d%s", c->tls_cert ? "k" : "", c->tls_cert ? "https" : "http",
               SLICE_ARG(host_of(c)), port, a.path[0] ? a.path : "/v1/models");
    if (a.path[0] == '\0') {
        buf_puts(out, "\n\n");
        return;
    }
    buf_puts(out, " -H 'content-type: application/json' \\\n");
    if (needs_key(c, &a)) buf_puts(out, "    -H \"authorization: Bearer $KEY\" \\\n");
    struct buf model;
    buf_init(&model, 0);
    json_write_string(&model, slice_str(model_of(c, &a)));
    buf_puts(out, "    -d '{\"model\":");
    put_quoted(out, buf_get(&model));
    buf_puts(out, ",\"messages\":[{\"role\":\"user\",\"content\":\"Hello, moon\"}]}'\n\n");
    buf_deinit(&model);
}

void hello_say(const struct perilune *g, struct buf *out) {
    int admin = perilune_admin_port(g), port = perilune_port(g);
    buf_printf(out, "perilune %s is listening on ", PERILUNE_VERSION_STRING);
    if (port > 0) buf_printf(out, "port %d", port);
    else buf_puts(out, g->config->listen_count > 0 ? g->config->listen[0] : "nothing");
    buf_printf(out, "%s\n\n", g->config->admin ? "" : " (no admin listener)");
    hello_write(g->config, port, out);
    if (admin) buf_printf(out, "  admin: http://127.0.0.1:%d/metrics\n\n", admin);
}
