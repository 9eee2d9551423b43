/* client.c -- what one thread needs to call upstreams.
 *
 *     call ---> http1 ----> origin: idle connections, addresses of one host:port
 *       |                     ^
 *       |                    dial: name to connected socket
 *       +-----> transfer --> multi: libcurl on the loop
 *
 * Two ways to speak to an upstream.  http1 is ours: plain HTTP/1.1, the protocol of
 * local inference servers and of sidecars, at the price of the system calls.  All that
 * needs TLS, HTTP/2 or a proxy goes through libcurl, which knows all of it. */
#include "upstream/client.h"

#include <stdlib.h>

#include "base/mem.h"
#include "http/parse.h"
#include "include/perilune.h"
#include "upstream/origin.h"
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
    buf_init(&c->out, 0);
    c->head = mem_alloc(sizeof(*c->head));
    if (c->head != NULL && multi_init(&c->multi, loop, transfer_done) == 0) return 0;
    mem_free(c->head);
    return PERILUNE_ERR_NOMEM;
}

void client_close(struct client *c) {
    multi_close(&c->multi);
    origin_close_all(c);
}

void client_deinit(struct client *c) {
    multi_deinit(&c->multi);
    buf_deinit(&c->out);
    mem_free(c->head);
}
