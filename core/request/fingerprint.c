/* fingerprint.c -- all that an answer depends on, as one text.
 *
 *     scope, tenant, method, path, query, dialect     who asks for what
 *     route, version                                  which policies stand between
 *     upstream: name, URLs, or the files of a model of
 *               this process, model, headers of its own,
 *               and the client's headers that it gets,
 *               and the same of a pool's members        who would answer
 *     headers of `vary`, salt                          what a policy adds
 *     sample                                           which of several answers to the same is wanted, if one is
 *     the body, but for the members below              the question, as a hash (questions.c)
 *
 * Only what is known not to change an answer is left out (a list of what counts would miss whatever
 * the API gets next).  Each part stands behind its length, so no part can look like two.
 *
 * What is left out changes no answer, and yet an upstream may refuse a question because of it ("metadata must be an
 * object").  So whoever gives one's error to another wants fingerprint_rest() to be the same, too. */
#include "request/fingerprint.h"

/* Members of a body that steer how an answer comes, who pays for it, and what is kept of it elsewhere. */
static bool is_left_out(const struct json_doc *d, uint32_t key) {
    static const struct slice names[] = {
        SLICE("stream"), SLICE("stream_options"), SLICE("user"), SLICE("metadata"), SLICE("store"),
        SLICE("service_tier"), SLICE("prompt_cache_key"), SLICE("prompt_cache_retention"), SLICE("safety_identifier"),
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (json_str_eq(d, key, names[i])) return true;
    return false;
}

static bool is_kept(const struct json_doc *d, uint32_t key) { return !is_left_out(d, key); }

struct hash128 fingerprint_rest(const struct cache *c, const struct json_doc *d, struct buf *scratch) {
    size_t before = buf_len(scratch);
    json_write_canonical(d, 0, is_kept, scratch);
    if (buf_failed(scratch)) return (struct hash128){ 0, 0 };
    struct slice all = buf_get(scratch);
    struct hash128 rest = cache_key(c, slice_of(all.ptr + before, all.len - before));
    scratch->len = before;
    return rest;
}

static void put_count(struct buf *out, size_t n) {
    uint32_t count = (uint32_t)n;
    buf_put(out, &count, sizeof(count));
}

static void put(struct buf *out, struct slice s) {
    put_count(out, s.len);
    buf_slice(out, s);
}

/* All lines of that name; an absent one is none. */
static void put_header(struct buf *out, const struct request *r, struct slice name) {
    unsigned count = 0;
    for (unsigned i = 0; i < r->header_count; i++) count += slice_eq_nocase(r->headers[i].name, name);
    put(out, name);
    put_count(out, count);
    for (unsigned i = 0; i < r->header_count; i++)
        if (slice_eq_nocase(r->headers[i].name, name)) put(out, r->headers[i].value);
}

/* The client's headers that it gets. */
static void put_forwarded(struct buf *out, const struct target *t, const struct request *r) {
    put_count(out, t->forward_count);
    for (unsigned i = 0; i < t->forward_count; i++) put_header(out, r, slice_str(t->forward_headers[i]));
    if (!t->key_from_client) return;
    put_header(out, r, SLICE("authorization"));
    put_header(out, r, SLICE("x-api-key"));
}

/* A pool is its members, too: one of them answers, and gets of the client what it wants. */
static void put_target(struct buf *out, const struct services *v, const struct target *t, const struct request *r) {
    put(out, slice_str(t->name));
    put_count(out, t->url_count);
    for (unsigned i = 0; i < t->url_count; i++) put(out, slice_str(t->urls[i]));
    put(out, slice_str(t->model));
    put(out, slice_str(t->engine_model));
    put(out, slice_str(t->engine_template));
    put_count(out, t->thinks);
    put_count(out, t->header_count);
    for (unsigned i = 0; i < t->header_count; i++) put(out, slice_str(t->headers[i]));
    put_forwarded(out, t, r);
    put_count(out, t->pool ? t->pool->count : 0);
    for (unsigned i = 0; t->pool != NULL && i < t->pool->count; i++)
        put_target(out, v, v->pools[t->pool->members[i].target].target, r);
}

void fingerprint_write_target(const struct fingerprint_ask *a, struct buf *out) {
    put_target(out, a->services, a->target, a->request);
}

void fingerprint_write_forwarded(const struct fingerprint_ask *a, struct buf *out) {
    const struct target *t = a->target;
    if (t->forward_count > 0 || t->key_from_client) put_forwarded(out, t, a->request);
}

void fingerprint_write(const struct fingerprint_ask *a, struct buf *out) {
    const struct request *r = a->request;
    put(out, a->scope);
    put(out, a->shared ? SLICE("") : slice_str(r->tenant));
    put(out, r->method);
    put(out, r->path);
    put(out, r->query);
    put(out, slice_str(a->body->dialect->name));
    put(out, slice_str(r->route));
    put(out, a->version);
    buf_putc(out, a->target ? 'T' : '-');
    if (a->target != NULL) put_target(out, a->services, a->target, r);
    put_count(out, a->vary_count);
    for (unsigned i = 0; i < a->vary_count; i++) put_header(out, r, a->vary[i]);
    put(out, a->salt);
    struct hash128 question = questions_hash(services_questions(a->services), a->services->stores->cache,
                                             a->doc ? a->doc : &a->body->doc, is_left_out, out);
    buf_put(out, &question, sizeof(question));
    if (r->sample > 0) buf_put(out, &r->sample, sizeof(r->sample));
}
