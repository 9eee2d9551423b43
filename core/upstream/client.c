/* client.c -- what one thread needs to call upstreams.
 *
 *     call ---> http1 ----> origin: idle connections, addresses of one host:port
 *       |                     ^
 *       |                    dial: name to connected socket
 *       +-----> transfer --> multi: libcurl on the loop
 *
 * Two ways to speak to an upstream.  http1 is ours: HTTP/1.1, in the clear to local inference
 * servers and sidecars, over TLS to everybody else, at the price of the system calls and the
 * ciphers.  What needs HTTP/2 or a proxy goes through libcurl, which knows all of it.
 *
 * Who is trusted is loaded with the configuration when an upstream has a `ca`.  The two other
 * kinds, the system's store and nobody checked, are the client's, made when first needed: so
 * they, and connections made with them, outlive every reload. */
#include "upstream/client.h"

#include <stdlib.h>

#include "base/mem.h"
#include "http/parse.h"
#include "http/tls.h"
#include "include/perilune.h"
#include "upstream/origin.h"
#include "upstream/target.h"
#include "upstream/transfer.h"

static bool proxy_in_environment(void) {
    static const char *const names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *v = getenv(names[i]);
        if (v != NULL && v[0] != '\0') return true;
    }
    return false;
}

int client_init(struct client *c, struct loop *loop) {
    *c = (struct client){ .loop = loop, .env_proxy = proxy_in_environment() };
    list_init(&c->origins);
    list_init(&c->unsent);
    list_init(&c->released);
    list_init(&c->scouts);
    buf_init(&c->out, 0);
    c->head = mem_alloc(sizeof(*c->head));
    if (c->head == NULL) return PERILUNE_ERR_NOMEM;
    multi_init(&c->multi, loop, transfer_done);
    return 0;
}

struct tls_context *client_tls(struct client *c, const struct target *t) {
    char why[200];
    if (t->ca != NULL && !t->insecure) return t->tls;
    struct tls_context **own = t->insecure ? &c->anybody : &c->system;
    if (*own == NULL) tls_context_open_client(own, NULL, t->insecure, why, sizeof(why));
    return *own;
}

void client_close(struct client *c) {
    deferred_cancel(&c->send);
    multi_close(&c->multi);
    origin_close_all(c);
    tls_context_put(c->system);
    tls_context_put(c->anybody);
    c->system = c->anybody = NULL;
}

void client_deinit(struct client *c) {
    multi_deinit(&c->multi);
    buf_deinit(&c->out);
    mem_free(c->head);
}
