/* answer_lines.c -- the header lines of an answer, and of an error, whoever writes them down: a reply
 * (http_exchange.c) or an event on a socket (ws_exchange.c).
 *
 * What policies name among the headers of an answer stands in place of the gateway's own
 * line.  Framing is nobody's here: who writes the answer says where it ends. */
#include "gateway/answer_lines.h"

#include "flow/headers.h"
#include "http/coding.h"
#include "http/field.h"
#include "request/spans.h"

/* Which request it was, and who answered it; own: lines that stand in place of ours. */
static void put_identity(struct buf *b, const struct exchange *x, struct slice upstream, struct slice own) {
    http_field_put_unless(b, own, SLICE("x-request-id"), slice_str(x->req->id));
    if (upstream.len > 0) http_field_put_unless(b, own, SLICE("x-perilune-upstream"), upstream);
}

/* How many prompt tokens policies kept from being sent; negative: added. */
static void put_saved(struct buf *b, const struct savings_entry *list) {
    if (list == NULL) return;
    int64_t tokens, nano_usd;
    savings_total(list, &tokens, &nano_usd);
    buf_printf(b, "x-perilune-saved-tokens: %lld\r\n", (long long)tokens);
}

/* What stands behind a base URL of the upstream's. False: the place is somewhere else. */
static bool is_below(struct slice place, const char *url, struct slice *rest) {
    struct slice base = slice_str(url);
    if (base.len > 0 && base.ptr[base.len - 1] == '/') base.len--;
    if (!slice_starts_nocase(place, base)) return false;
    *rest = slice_of(place.ptr + base.len, place.len - base.len);
    return rest->len == 0 || strchr("/?#", rest->ptr[0]) != NULL;
}

/* A redirect to the upstream itself: its address is nobody's business, and few could reach it.  What
 * the client asks here instead is what outgoing.c makes that address of. */
static void localize(const struct exchange *x, struct buf *lines) {
    const struct target *t = exchange_target(x);
    struct slice place = headers_find(buf_get(lines), SLICE("location")), rest;
    bool found = false;
    for (unsigned i = 0; place.ptr != NULL && t != NULL && i < t->url_count && !found; i++)
        found = is_below(place, t->urls[i], &rest);
    if (!found) return;
    struct buf here;
    buf_init(&here, 0);
    if (x->route != NULL && x->route->strip != NULL) buf_puts(&here, x->route->strip);
    if (slice_starts(x->req->path, SLICE("/v1/"))) buf_puts(&here, "/v1");
    buf_slice(&here, rest);
    headers_drop(lines, SLICE("location"));
    headers_put(lines, SLICE("location"), buf_len(&here) > 0 ? buf_get(&here) : SLICE("/"));
    if (buf_failed(&here)) lines->error = here.error;
    buf_deinit(&here);
}

void answer_lines(const struct exchange *x, struct slice type, struct buf *out) {
    struct buf lines; /* the upstream's and the policies' */
    buf_init(&lines, 0);
    exchange_put_headers(x, &lines);
    localize(x, &lines);
    struct slice own = buf_get(&lines);
    if (type.len > 0) http_field_put_unless(out, own, SLICE("content-type"), type);
    if (slice_starts(type, SLICE("text/event-stream")))
        http_field_put_unless(out, own, SLICE("cache-control"), SLICE("no-cache"));
    put_identity(out, x, exchange_upstream(x), own);
    if (headers_find(own, SLICE("x-perilune-saved-tokens")).ptr == NULL) put_saved(out, x->req->saved);
    if (headers_find(own, SLICE("x-perilune-trace")).ptr == NULL) spans_header(x->req, out);
    buf_slice(out, own);
    if (buf_failed(&lines)) out->error = lines.error;
    buf_deinit(&lines);
}

static void put_allow(struct buf *b, const struct exchange *x) {
    buf_puts(b, "allow: ");
    exchange_methods(x, b);
    buf_puts(b, "\r\n");
}

/* Who failed: as the log says it, whoever was asked last, although policies stood in between. */
static struct slice who_failed(const struct exchange *x) {
    struct slice answered = exchange_upstream(x);
    const struct target *t = exchange_target(x);
    return answered.len > 0 || t == NULL ? answered : slice_str(t->name);
}

void answer_error_lines(const struct exchange *x, const struct failure *f, struct buf *out) {
    struct buf lines; /* the upstream's and the policies' */
    buf_init(&lines, 0);
    buf_slice(&lines, buf_get(&f->headers));
    localize(x, &lines);
    struct slice own = buf_get(&lines);
    buf_puts(out, "content-type: application/json\r\n");
    put_identity(out, x, who_failed(x), own);
    bool ours = f->kind == FAILURE_NO_MEMORY || f->kind == FAILURE_DRAINING; /* over soon */
    if (f->retry_after_ms > 0 || ours) {
        buf_puts(out, "retry-after: ");
        buf_u64(out, f->retry_after_ms > 0 ? (f->retry_after_ms + 999) / 1000 : 1);
        buf_puts(out, "\r\n");
    }
    if (failure_is_not_repeated(f)) http_field_put_unless(out, own, SLICE("x-should-retry"), SLICE("false"));
    buf_slice(out, own);
    if (f->kind == FAILURE_METHOD) put_allow(out, x);
    if (f->status == 415 && f->kind == FAILURE_INVALID_REQUEST) buf_puts(out, "accept-encoding: " CODINGS_KNOWN "\r\n");
    if (buf_failed(&lines)) out->error = lines.error;
    buf_deinit(&lines);
}
