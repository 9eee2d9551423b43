/* request.c -- a question, from who asked it to who answers.
 *
 *     who asks --fills--> [ request ] --> route, policies --> outgoing --> call
 *                             |  responses: what was asked on its behalf
 *                             +--> ends when the answer is complete, or nobody waits for it
 *
 * A policy may keep a handle of a request in a global table for ever; what the request
 * holds goes when it ends, not when the collector finds the handle. */
#include "request/request.h"

#include "flow/response.h"
#include "request/reserved.h"
#include "request/spending.h"
#include "request/spent.h"

struct request *request_new(void) {
    struct request *r = mem_zalloc(sizeof(*r));
    if (r == NULL) return NULL;
    r->refs = 1;
    r->live = true;
    r->peer = "";
    r->route = r->route_label = "";
    r->job = "";
    list_init(&r->responses);
    list_init(&r->asks);
    arena_init(&r->arena);
    return r;
}

void request_at_end(struct request *r, struct at_end *a) {
    a->next = r->ends;
    r->ends = a;
}

static void run_ends(struct request *r, const struct outcome *o) {
    while (r->ends != NULL) {
        struct at_end *a = r->ends;
        r->ends = a->next;
        a->run(a, r, o);
    }
}

void request_finish(struct request *r, const struct response *res, const struct outcome *o) {
    run_ends(r, o);
    reserved_finish(r, res, o);
}

void request_end(struct request *r) {
    spent_stop_all(r);
    run_ends(r, &(struct outcome){ .code = "canceled" });
    r->live = false;
    r->headers = NULL;
    r->header_count = r->removed = 0;
    r->peer = "";
    /* Calls whose answers no policy returned: nobody will read them. */
    response_abandon_all(&r->responses);
    if (r->user_ops != NULL) r->user_ops->ended(r);
    /* Views of messages live until they are collected, and the collector does not know
     * how many bytes hang on them. */
    body_clear(r->body);
    blob_put(r->raw);
    r->raw = NULL;
}

struct request *request_ref(struct request *r) {
    r->refs++;
    return r;
}

void request_put(struct request *r) {
    if (r == NULL || --r->refs > 0) return;
    spent_stop_all(r);
    run_ends(r, &(struct outcome){ .code = "canceled" }); /* a policy's own question never ends */
    if (r->user_ops != NULL) r->user_ops->release(r);
    /* A policy's own question (upstream:ask) never ends: it is collected, maybe before its answers. */
    while (!list_is_empty(&r->responses)) list_remove(r->responses.next);
    reserved_finish(r, NULL, &(struct outcome){ .ok = true });
    spending_put(r->spending);
    body_put(r->body);
    blob_put(r->raw);
    arena_deinit(&r->arena);
    mem_free(r);
}

static bool own(struct request *r, struct slice *s) {
    if (s->len == 0) return true;
    s->ptr = arena_dup(&r->arena, *s);
    return s->ptr != NULL;
}

bool request_keep(struct request *r) {
    if (r->kept) return true;
    unsigned count = r->header_count + r->removed;
    struct http_header *all = arena_alloc(&r->arena, (count + 1) * sizeof(*all));
    struct slice method = r->method, path = r->path, whole = r->whole_path, query = r->query, peer = slice_str(r->peer);
    bool ok = all != NULL && own(r, &method) && own(r, &path) && own(r, &whole) && own(r, &query) && own(r, &peer);
    for (unsigned i = 0; ok && i < count; i++) {
        all[i] = r->headers[i];
        ok = own(r, &all[i].name) && own(r, &all[i].value);
    }
    if (!ok) return false;
    r->method = method;
    r->path = path;
    r->whole_path = whole;
    r->query = query;
    r->peer = peer.ptr;
    r->headers = all;
    return r->kept = true;
}

struct slice request_header(const struct request *r, struct slice name) {
    return http_headers_value(r->headers, r->header_count, name);
}

bool request_wants_stream(const struct request *r) { return r->body != NULL && r->body->chat.stream; }
bool request_wants_usage(const struct request *r) { return r->body != NULL && r->body->chat.wants_usage; }
