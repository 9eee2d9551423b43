/* ws_upgrade.c -- who may open a WebSocket, and what each request on it takes over.
 *
 * *Pages.*  A browser lets any page open a WebSocket to anywhere and read what comes; nothing but the server's own look
 * at Origin keeps a page of somebody else from using a gateway that its visitor can reach.  So a page may when its
 * origin is one of cors.origins, or when it comes from the host that it asks (a page that a proxy serves beside
 * us).  Without the setting no other page may.  Who sends no Origin is no browser.
 *
 * *Keys.*  A browser's script cannot set headers of a handshake.  It may offer the subprotocol "perilune.key." with
 * its key in base64url behind it, beside "perilune.v1", which is the one that is agreed on: the key is never said
 * back.  It stands for `authorization: Bearer KEY`, in place of one that the browser may have added for a proxy.
 *
 * *Headers.*  A request on the socket has those of the handshake, but for what was about the handshake itself:
 * policies, routes and tenants see what they would see of a request by HTTP. */
#include "gateway/ws_upgrade.h"

#include "flow/headers.h"
#include "http/field.h"

#define PROTOCOL  SLICE("perilune.v1")
#define PROTOCOLS SLICE("sec-websocket-protocol")

static void refuse(struct ws_handshake *h, int status, const char *why) {
    h->status = status;
    h->why = why;
}

static bool may_open(const struct cors *c, const struct http_request *r) {
    struct slice origin = http_request_header(r, SLICE("origin"));
    return origin.ptr == NULL || (c->origin_count > 0 && cors_allows(c, origin)) ||
           cors_is_same(origin, http_request_header(r, SLICE("host")));
}

/* -- Subprotocols --------------------------------------------------------------------- */

/* Appends "Bearer KEY" of the subprotocol that has one.  False, and h says why. */
static bool read_key(const struct http_request *r, struct ws_handshake *h, struct buf *out) {
    static const struct slice mark = SLICE("perilune.key.");
    struct slice word;
    unsigned line = 0;
    size_t at = 0;
    while (ws_header_next(r, PROTOCOLS, &line, &at, &word)) {
        if (!slice_starts(word, mark)) continue;
        if (buf_len(out) > 0) {
            refuse(h, 400, "more than one subprotocol has a key");
            return false;
        }
        buf_puts(out, "Bearer ");
        bool good = word.len > mark.len && ws_decode_word(slice_of(word.ptr + mark.len, word.len - mark.len), out);
        if (!good || (!buf_failed(out) && http_field_problem(SLICE("authorization"), buf_get(out)) != NULL)) {
            refuse(h, 400, "the subprotocol 'perilune.key.' has to have a key in base64url behind it, without padding");
            return false;
        }
    }
    return true;
}

/* Does it ask for subprotocols?  Then one has to be ours: a browser closes a socket that agrees on none. */
static bool choose_protocol(const struct http_request *r, struct ws_handshake *h, struct buf *answer) {
    if (http_request_header(r, PROTOCOLS).ptr == NULL) return true;
    if (!ws_header_has(r, PROTOCOLS, PROTOCOL)) {
        refuse(h, 400, "the subprotocol spoken here is 'perilune.v1'; offer it, or none");
        return false;
    }
    headers_put(answer, PROTOCOLS, PROTOCOL);
    return true;
}

/* -- Headers of requests on the socket ----------------------------------------------------- */

/* About the handshake, or about a body that each message brings itself. */
static bool is_of_handshake(struct slice name) {
    static const struct slice names[] = { SLICE("x-request-id"), SLICE("content-type"), SLICE("content-encoding"),
                                          SLICE("accept-encoding"), SLICE("expect") };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_eq_nocase(name, names[i])) return true;
    return http_field_is_framing(name) || slice_starts_nocase(name, SLICE("sec-websocket-"));
}

static void keep_headers(const struct http_request *r, struct slice key, struct buf *kept) {
    for (unsigned i = 0; i < r->header_count; i++) {
        const struct http_header *h = &r->headers[i];
        bool replaced = key.len > 0 && slice_eq_nocase(h->name, SLICE("authorization"));
        if (!replaced && !is_of_handshake(h->name)) headers_put(kept, h->name, h->value);
    }
    if (key.len > 0) headers_put(kept, SLICE("authorization"), key);
}

void ws_upgrade(const struct config *c, const struct http_request *r, struct ws_handshake *h, struct buf *kept,
                struct buf *answer) {
    struct buf key;
    buf_init(&key, 0);
    ws_handshake(r, h);
    if (h->status == 101 && !may_open(&c->cors, r))
        refuse(h, 403, "pages of this origin may not open a WebSocket here (cors.origins)");
    if (h->status == 101 && choose_protocol(r, h, answer) && read_key(r, h, &key)) {
        keep_headers(r, buf_get(&key), kept);
        if (buf_failed(&key)) kept->error = key.error;
    }
    ws_handshake_lines(h, answer);
    buf_deinit(&key);
}
