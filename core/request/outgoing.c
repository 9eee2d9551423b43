/* outgoing.c -- from a request to a running call.
 *
 * Decides which upstream, which bytes, which headers.  The bytes are the client's
 * own unless a policy changed them, with two splices at most: the upstream's
 * model name, and include_usage for a stream.  They are not copied for that: the
 * new body is pieces of the old one, and new text.  Of the client's headers only the
 * harmless few go on, and those that the upstream names in forward_headers. */
#include "request/outgoing.h"

#include <stdio.h>

#include "flow/headers.h"
#include "llm/answer.h"
#include "llm/dialect.h"
#include "request/attempt.h"
#include "request/balancer.h"
#include "request/coalesce.h"
#include "request/continuation.h"
#include "request/form.h"
#include "request/local.h"
#include "request/spending.h"
#include "tokens/calibration.h"

#define MAX_FIELDS (HTTP_MAX_HEADERS + 4)

/* -- Which upstream ------------------------------------------------------------------ */

struct call_pool *outgoing_find(struct services *v, struct slice name) {
    for (unsigned i = 0; i < v->pool_count; i++)
        if (slice_eq(slice_str(v->pools[i].target->name), name)) return &v->pools[i];
    return NULL;
}

static bool answers_to(const struct target *t, struct slice model) {
    if (t->model && slice_eq(slice_str(t->model), model)) return true;
    for (unsigned i = 0; i < t->model_count; i++)
        if (slice_eq(slice_str(t->models[i]), model)) return true;
    return false;
}

/* Pools first: they are there so that one need not choose. */
static struct call_pool *by_model(struct services *v, struct slice model) {
    for (int pools = 1; pools >= 0; pools--) {
        for (unsigned i = 0; i < v->pool_count; i++) {
            const struct target *t = v->pools[i].target;
            if ((t->pool != NULL) == pools && answers_to(t, model)) return &v->pools[i];
        }
    }
    return outgoing_find(v, model);
}

static void not_found(struct services *v, struct slice model, bool has_body, struct failure *f) {
    char known[300] = "";
    size_t n = 0;
    for (unsigned i = 0; i < v->pool_count && n < sizeof(known); i++) {
        const struct target *t = v->pools[i].target;
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s'%s'", i ? ", " : "", t->model ? t->model : t->name);
    }
    if (model.ptr == NULL && !has_body)
        failure_set(f, FAILURE_INVALID_REQUEST, "nothing in this request says which upstream is asked; "
                                                "a route with upstream = \"NAME\" can; available: %s", known);
    else if (model.ptr == NULL)
        failure_set(f, FAILURE_INVALID_REQUEST, "missing field 'model' (byte 0); available: %s", known);
    else
        failure_set(f, FAILURE_MODEL_NOT_FOUND, "the model '%.*s' does not exist; available: %s",
                    (int)(model.len < 80 ? model.len : 80), model.ptr, known);
    snprintf(f->param, sizeof(f->param), "model");
}

void outgoing_no_upstream(struct failure *f, struct slice name) {
    failure_set(f, FAILURE_INTERNAL, "the upstream that was chosen does not exist");
    snprintf(f->detail, sizeof(f->detail), "no upstream '%.*s'", SLICE_ARG(name));
    slice_copy(f->upstream, sizeof(f->upstream), name);
}

/* The body's model; ptr is NULL when it has none.  In text, or in the body's own. */
static struct slice asked_model(const struct body *body, struct buf *text) {
    buf_init(text, 0);
    if (body == NULL || body->chat.model == JSON_NONE) return slice_of(NULL, 0);
    if (!body->doc.nodes[body->chat.model].escaped) return json_plain(&body->doc, body->chat.model);
    json_decode_string(&body->doc, body->chat.model, text);
    return buf_get(text);
}

/* The model that a form names; ptr is NULL when it names none, or the body is no form. */
static struct slice form_model(const struct request *r) {
    struct slice type = request_header(r, SLICE("content-type"));
    return r->raw ? form_field(type, blob_get(r->raw), SLICE("model")) : slice_of(NULL, 0);
}

static struct call_pool *choose(struct services *v, const struct request *r, struct slice model) {
    if (r->upstream[0]) return outgoing_find(v, slice_str(r->upstream));
    struct call_pool *p = model.ptr ? by_model(v, model) : NULL;
    return p == NULL && v->pool_count == 1 ? &v->pools[0] : p;
}

struct call_pool *outgoing_choose(struct services *v, const struct request *r,
                                  const struct body *body, struct failure *f) {
    struct buf text;
    buf_init(&text, 0);
    struct slice model = body ? asked_model(body, &text) : form_model(r);
    struct call_pool *p = choose(v, r, model);
    if (p == NULL && r->upstream[0]) outgoing_no_upstream(f, slice_str(r->upstream));
    else if (p == NULL) not_found(v, model, body != NULL || r->raw != NULL, f);
    buf_deinit(&text);
    return p;
}

static void model_at(const struct call_pool *p, const struct body *body, struct outgoing_model *out) {
    struct slice asked = asked_model(body, &out->text);
    out->upstream = p ? slice_str(p->target->name) : SLICE("");
    out->model = p && p->target->model ? slice_str(p->target->model) : asked.ptr ? asked : SLICE("");
}

void outgoing_model(struct services *v, const struct request *r, const struct body *body,
                    struct outgoing_model *out) {
    struct buf text;
    struct slice asked = asked_model(body, &text);
    model_at(choose(v, r, asked), body, out);
    buf_deinit(&text);
}

void outgoing_model_deinit(struct outgoing_model *m) { buf_deinit(&m->text); }

/* -- How many tokens ----------------------------------------------------------------- */

#define SAMPLE_MAX (256 * 1024) /* bytes of a body that is counted for learning only: a millisecond or two */

/* What is compared with the usage that comes back: known when a policy asked, counted here
 * when something is to be learned from it. */
static void count_tokens(struct services *v, const struct outgoing *o, struct response_options *ro,
                         struct outgoing_model *m) {
    const struct request *r = o->request;
    model_at(o->pool, o->body, m);
    ro->model = m->model;
    uint64_t known = o->body == r->body ? r->counted : 0;
    bool wanted = calibration_wants(v->calibration, m->upstream, m->model);
    if ((known == 0 && !wanted) || v->models == NULL) return;
    struct tokens_ask a = { .limit = TOKENS_NO_LIMIT };
    struct tokens_count n;
    models_find(v->models, m->model, &a.model);
    ro->counted_own = a.model.exact;
    /* A policy may have asked when another model was to answer. */
    bool same = a.model.vocab == r->counted_for.vocab && a.model.form == r->counted_for.form &&
                a.model.image == r->counted_for.image;
    if (known != 0 && same) ro->counted = known;
    if (ro->counted != 0 || !wanted || blob_get(o->body->text).len > SAMPLE_MAX) return;
    struct tokens *t = services_tokens(v);
    if (t != NULL && tokens_body(t, &a, &o->body->doc, &n) == 0) ro->counted = n.tokens;
}

/* -- Which bytes ------------------------------------------------------------------------ */

/* A form goes on as it came, but for the upstream's name of the model. */
static struct blob *form_bytes(const struct request *r, struct slice model) {
    struct slice asked = form_model(r), all = r->raw ? blob_get(r->raw) : SLICE("");
    if (asked.ptr == NULL || model.len == 0 || slice_eq(asked, model)) return blob_ref(r->raw);
    struct buf out;
    size_t before = (size_t)(asked.ptr - all.ptr);
    buf_init(&out, 0);
    buf_put(&out, all.ptr, before);
    buf_slice(&out, model);
    buf_put(&out, asked.ptr + asked.len, all.len - before - asked.len);
    return blob_take(&out);
}

/* *optional: the part of them that asks for usage. */
static struct blob *bytes_of(const struct outgoing *o, bool usage, struct call_optional *optional) {
    struct slice model = slice_str(o->pool->target->model);
    if (o->body == NULL) return form_bytes(o->request, model);
    if (o->body->dialect == NULL && o->body->chat.model == JSON_NONE) return blob_ref(o->body->text);
    /* Other JSON may name a model, too, and calls it as everybody does. */
    const struct dialect *d = o->body->dialect ? o->body->dialect : &openai_chat;
    if (!d->needs_edit(&o->body->doc, model, usage)) return blob_ref(o->body->text);
    struct rope out;
    struct chat_asked asked;
    rope_init(&out, blob_get(o->body->text));
    d->edit(&o->body->doc, model, usage, &out, &asked);
    struct blob *edited = blob_splice(o->body->text, &out);
    rope_deinit(&out);
    *optional = (struct call_optional){ asked.at, asked.len, asked.was, { "stream_options", "include_usage" } };
    return edited;
}

/* -- Which headers ------------------------------------------------------------------------ */

static bool is_forwarded(const struct target *t, struct slice name) {
    static const struct slice always[] = { SLICE("content-type"), SLICE("accept"), SLICE("user-agent"),
                                           SLICE("traceparent"), SLICE("tracestate") };
    for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
        if (slice_eq_nocase(name, always[i])) return true;
    for (unsigned i = 0; i < t->forward_count; i++)
        if (slice_eq_nocase(name, slice_str(t->forward_headers[i]))) return true;
    return t->key_from_client && (slice_eq_nocase(name, SLICE("authorization")) ||
                                  slice_eq_nocase(name, SLICE("x-api-key")));
}

static bool is_hop_by_hop(struct slice name) {
    static const struct slice hop[] = { SLICE("connection"), SLICE("content-length"), SLICE("transfer-encoding"),
                                        SLICE("host"), SLICE("expect"), SLICE("keep-alive"), SLICE("te"),
                                        SLICE("trailer"), SLICE("upgrade"), SLICE("proxy-authorization"),
                                        SLICE("proxy-connection"), SLICE("accept-encoding") };
    for (size_t i = 0; i < sizeof(hop) / sizeof(*hop); i++)
        if (slice_eq_nocase(name, hop[i])) return true;
    return false;
}

/* Does the client say that this header is for its own connection (RFC 9110 7.6.1)? */
static bool is_of_connection(const struct request *r, struct slice name) {
    for (unsigned i = 0; i < r->header_count; i++)
        if (slice_eq_nocase(r->headers[i].name, SLICE("connection")) && headers_value_has(r->headers[i].value, name))
            return true;
    return false;
}

/* Do we look into the answer, or only pass it on? */
static bool is_read(const struct outgoing *o) { return o->body != NULL && o->body->dialect != NULL; }

static unsigned fields_of(const struct outgoing *o, struct call_field *out) {
    const struct request *r = o->request;
    unsigned n = 0;
    bool type = false;
    struct slice codings = SLICE("");
    for (unsigned i = 0; i < r->header_count; i++) {
        const struct http_header *h = &r->headers[i];
        if (slice_eq_nocase(h->name, SLICE("accept-encoding"))) codings = h->value;
        bool coded = slice_eq_nocase(h->name, SLICE("content-encoding")); /* of the bytes as they came */
        if (coded && o->body == NULL && r->raw != NULL) out[n++] = (struct call_field){ h->name, h->value };
        if (coded || is_hop_by_hop(h->name) || !is_forwarded(o->pool->target, h->name)) continue;
        if (slice_eq_nocase(h->name, SLICE("x-request-id")) || is_of_connection(r, h->name)) continue;
        type |= slice_eq_nocase(h->name, SLICE("content-type"));
        out[n++] = (struct call_field){ h->name, h->value };
    }
    /* What is only passed on may come as the client can read it. */
    if (codings.len > 0 && !is_read(o)) out[n++] = (struct call_field){ SLICE("Accept-Encoding"), codings };
    if (!type && o->body != NULL) /* of bytes that we cannot read nobody knows what they are */
        out[n++] = (struct call_field){ SLICE("Content-Type"), SLICE("application/json") };
    out[n++] = (struct call_field){ SLICE("x-request-id"), slice_str(r->id) };
    return n;
}

/* -- Go ------------------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b) {
    if (a == 0 || b == 0) return a ? a : b;
    return a < b ? a : b;
}

static struct slice path_of(const struct request *r, struct buf *tmp) {
    struct slice p = r->path;
    if (slice_starts(p, SLICE("/v1/"))) p = slice_of(p.ptr + 3, p.len - 3);
    if (r->query.len == 0) return p;
    buf_slice(tmp, p);
    buf_putc(tmp, '?');
    buf_slice(tmp, r->query);
    return buf_get(tmp);
}

/* RFC 9110 9.2.2. */
static bool is_idempotent(struct slice method) {
    static const struct slice all[] = { SLICE("GET"), SLICE("HEAD"), SLICE("OPTIONS"), SLICE("TRACE"), SLICE("PUT"),
                                        SLICE("DELETE") };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (slice_eq(method, all[i])) return true;
    return false;
}

static struct source *make_call(const struct outgoing *o, struct blob *body,
                                const struct outgoing_form *form, const struct call_optional *optional) {
    struct request *r = o->request;
    struct call_field fields[MAX_FIELDS];
    struct buf tmp;
    buf_init(&tmp, 0);
    struct call_options opt = { .pool = o->pool, .method = r->method, .path = path_of(r, &tmp),
                                .body = body, .optional = *optional, .stream = form->sent,
                                .headers = fields, .header_count = fields_of(o, fields),
                                .timeouts = o->pool->target->timeouts, .deadline_ms = o->shared ? 0 : r->deadline_ms };
    if (form->sent && form->given) opt.timeouts.first_token_ms = least(opt.timeouts.first_token_ms, o->timeout_ms);
    else opt.timeouts.total_ms = least(opt.timeouts.total_ms, o->timeout_ms);
    if (!form->sent) opt.timeouts.first_token_ms = 0; /* nothing comes before the whole does */
    opt.unread = !is_read(o);
    opt.costs = !is_idempotent(r->method);
    opt.over = o->over;
    opt.over_ud = o->ud;
    struct source *c = call_new(&opt);
    if (c != NULL && o->made != NULL) o->made(o->ud);
    buf_deinit(&tmp);
    return c;
}

static bool asks_usage(const struct services *v, const struct target *t) {
    return !t->leave_usage &&
           atomic_load_explicit(&t->health->refused_until_ms, memory_order_relaxed) <= loop_now(v->loop);
}

struct outgoing_form outgoing_form(const struct outgoing *o) {
    if (o->body == NULL || o->body->dialect != &openai_chat) return (struct outgoing_form){ .sent = false };
    return (struct outgoing_form){ .sent = o->body->chat.stream, .given = request_wants_stream(o->request),
                                   .keep_usage = request_wants_usage(o->request) };
}

/* Behind its reader, when the answer is one that we read.  Takes call, which may be NULL: no memory. */
static struct source *read_by_us(const struct outgoing *o, const struct outgoing_form *form, struct source *call) {
    const struct target *t = o->pool->target;
    if (call == NULL || !is_read(o)) return call;
    const struct dialect *d = o->body->dialect;
    return d->reader(call, &(struct answer_options){ .stream = form->given, .keep_usage = form->keep_usage,
                                                     .choices = d->choices(&o->body->doc),
                                                     .limit = t->max_answer, .max_event = t->max_event });
}

struct source *outgoing_call(const struct services *v, const struct outgoing *o, const struct outgoing_form *form) {
    struct call_optional optional = { .len = 0 };
    if (o->pool->target->engine != NULL) return read_by_us(o, form, local_new(v, o, form));
    struct blob *bytes = bytes_of(o, form->sent && asks_usage(v, o->pool->target), &optional);
    bool has_bytes = o->body != NULL || o->request->raw != NULL;
    struct source *call = bytes != NULL || !has_bytes ? make_call(o, bytes, form, &optional) : NULL;
    blob_put(bytes);
    return read_by_us(o, form, call);
}

/* The answer ended, and says how many tokens the upstream saw where we counted them. */
static void calibrate(const struct response *r, void *ud) {
    calibration_add(ud, slice_str(r->upstream), slice_str(r->model),
                    (struct calibration_sample){ r->counted, r->usage.prompt, r->counted_own });
}

void outgoing_note_call(struct request *r, const struct target *t) {
    if (r->asked != NULL && r->asked == t) r->retries++;
    else if (r->asked != NULL) r->fallbacks++;
    r->asked = t;
    r->tries++;
}

struct source *outgoing_answer(const struct services *v, const struct outgoing *o, const struct outgoing_form *form) {
    return continuation_new(v, o, form, attempt_new(v, o, form));
}

/* A call of its own, or a share of one that answers the same question. */
static struct source *source_for(struct services *v, const struct outgoing *o, struct response *r,
                                 const struct outgoing_form *form) {
    if (!coalesce_suits(v, o)) return outgoing_answer(v, o, form);
    bool joined;
    r->bill = bill_new();
    struct source *s = r->bill ? coalesce(v, o, form, r->bill, &joined) : NULL;
    if (s != NULL && joined) headers_put(&r->headers, SLICE("x-cache"), SLICE("coalesced"));
    return s;
}

/* Which member of a pool.  A call that others may share is another's, maybe: whoever makes it picks then. */
static void pick_member(const struct services *v, struct outgoing *o) {
    struct balancer_pick p = { .pool = NULL };
    o->of = o->pool;
    o->pool = &v->pools[o->of->target->pool->members[0].target];
    if (coalesce_suits(v, o)) return;
    balancer_pick(v, o, 0, &p);
    o->picked = p.pool != NULL ? OUTGOING_PICKED : OUTGOING_REFUSED;
    o->ticket = p.ticket;
    o->wait_ms = p.wait_ms;
    if (p.pool != NULL) o->pool = p.pool;
}

struct response *outgoing_start(struct services *v, const struct outgoing *asked) {
    struct outgoing picked = *asked;
    if (asked->pool->target->pool != NULL) pick_member(v, &picked);
    const struct outgoing *o = &picked;
    const struct body *b = o->body;
    bool chat = b != NULL && b->dialect == &openai_chat;
    struct outgoing_form form = outgoing_form(o);
    struct response_options ro = { .loop = v->loop, .upstream = o->pool->target->name, .dialect = b ? b->dialect : NULL,
                                   .among = &o->request->responses, .limit = o->pool->target->max_answer,
                                   .pass = &o->pool->target->pass_headers, .high_water = v->high_water };
    struct outgoing_model model = { .text = { .data = NULL } };
    if (chat) count_tokens(v, o, &ro, &model);
    if (ro.counted != 0) {
        ro.settled = calibrate;
        ro.settled_ud = v->calibration;
    }
    struct response *r = response_new(&ro);
    outgoing_model_deinit(&model);
    struct source *source = r ? source_for(v, o, r, &form) : NULL;
    if (r == NULL && o->picked == OUTGOING_PICKED) breaker_drop(&o->pool->target->health->breaker, &o->ticket);
    if (source == NULL) {
        response_put(r);
        return NULL;
    }
    outgoing_note_call(o->request, o->pool->target);
    spending_watch(o->request->spending, r);
    response_start(r, source);
    return r;
}
