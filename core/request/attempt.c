/* attempt.c -- a call, judged, and asked once more elsewhere.
 *
 *     response <-- [ attempt ] <-- reader of the answer <-- call
 *                    |    |
 *                    |    +-- failed before HEAD, and another member of the pool may do: a new reader and call
 *                    +------- GOOD, FAILED ... --> breaker of who was asked; latency
 *
 *     ASKING --HEAD--> ANSWERING --END, ERROR--> OVER
 *       |  +--ERROR--> ASKING another one                 (cancel leads to OVER from everywhere)
 *       +--refused, or nobody else--> OVER
 *
 * It stands behind the reader, because only there is known what an answer was worth: an error inside of a 200 and a
 * stream that broke off are failures of the upstream.  HEAD comes with the first content, so before HEAD nothing was
 * sent to anybody, and the same question can go to another member: twice at most (`retries` of the pool), when it is
 * safe (a chat or an embedding, or nothing was sent at all), when it is worth it (the error is one that another may not
 * give), within the time, and within the budget that all requests to the pool share.  What an account or a model
 * refuses is asked only where key or model are others.  A single upstream is never asked again here:
 * that is the policy `retry`.
 *
 * What the client did counts for nothing: the wrong request, having left, its own key, its own deadline.
 *
 * A request may be over while others wait for its call (coalesce.c); then nobody can ask again for it.  Of who
 * was asked nothing is touched behind its last event, because its generation may go with it. */
#include "request/attempt.h"

#include "base/err_body.h"
#include "base/httpdate.h"
#include "base/log.h"
#include "base/mem.h"
#include "request/balancer.h"
#include "request/scout.h"

/* Thousandths of a retry. */
#define RETRY_SHARE 100    /* that a request earns */
#define RETRY_FLOOR 3000   /* a second */
#define RETRY_SAVED 200000 /* what a busy time may leave for a bad moment: a tenth of 2000 requests */

struct attempt {
    struct source        source;
    struct sink          sink;      /* of `from` */
    struct sink         *to;
    struct source       *from;      /* NULL: none, or it has ended */
    const struct services *v;       /* while the request lives */
    struct loop         *loop;
    struct outgoing      o;         /* with shares of request and body; its pool: who was asked first */
    struct outgoing_form form;
    struct call_pool    *at;        /* who is asked; NULL: nobody */
    struct breaker      *breaker;   /* of it */
    struct breaker_settings settings;
    struct breaker_ticket   ticket;
    uint64_t             tried;     /* bits of members */
    uint64_t             started_us, until_ms; /* until: of o.timeout_ms; 0: none */
    unsigned             again, depth; /* depth: calls of ours on the stack */
    bool                 headed, settled, over;
};

static const struct failure no_memory = { .kind = FAILURE_NO_MEMORY, .status = 503, .retryable = true,
                                          .code = "out_of_memory", .type = "server_error", .message = "out of memory" };

/* -- What a failure says --------------------------------------------------------------- */

/* Was the key, or may it have been, the client's? */
static bool has_clients_key(const struct target *t) {
    if (t->key_from_client) return true;
    for (unsigned i = 0; i < t->forward_count; i++)
        if (strcmp(t->forward_headers[i], "authorization") == 0 || strcmp(t->forward_headers[i], "x-api-key") == 0)
            return true;
    return false;
}

static enum breaker_outcome outcome_of_status(const struct failure *f, const struct target *t) {
    if (err_body_is_content(f)) return BREAKER_NONE;
    bool account = f->status == 401 || f->status == 402 || f->status == 403 || err_body_is_quota(f);
    if (account && has_clients_key(t)) return BREAKER_NONE;
    if (err_body_is_quota(f)) return BREAKER_QUOTA;
    if (account) return BREAKER_DENIED;
    if (f->status == 429) return BREAKER_LIMITED;
    return f->status >= 500 || f->status == 408 ? BREAKER_FAILED : BREAKER_NONE;
}

enum breaker_outcome attempt_outcome(const struct failure *f, const struct target *t) {
    switch (f->kind) {
    case FAILURE_CONNECT:
    case FAILURE_DNS:
    case FAILURE_TLS:
    case FAILURE_RESET:
    case FAILURE_TIMEOUT: return BREAKER_DARK;
    case FAILURE_MALFORMED:
    case FAILURE_UPSTREAM:
    case FAILURE_TRUNCATED: return BREAKER_FAILED;
    case FAILURE_STREAM:
    case FAILURE_UPSTREAM_STATUS: return outcome_of_status(f, t);
    default: return BREAKER_NONE; /* ours, or the client's */
    }
}

/* -- The breaker hears ----------------------------------------------------------------------- */

static void say(const struct attempt *a, int level, const char *what, const char *code) {
    const struct target *t = a->at->target;
    struct log *log = a->at->client->log;
    if (log == NULL || !log_wants(log, level)) return;
    struct buf line;
    buf_init(&line, 0);
    log_begin(&line, level, what);
    log_str(&line, "upstream", slice_str(t->name));
    if (code != NULL) log_str(&line, "code", slice_str(code));
    uint64_t wait = breaker_refuses(a->breaker, loop_now(a->loop));
    if (wait > 0) log_u64(&line, "seconds", (wait + 999) / 1000);
    log_end(log, level, &line);
    buf_deinit(&line);
}

/* Once as the answer begins or fails; a second time when it has begun and breaks off. */
static void settle(struct attempt *a, enum breaker_outcome outcome, const struct failure *f) {
    uint64_t now = loop_now(a->loop), wait = f ? f->retry_after_ms : 0;
    const char *code = f ? f->code : NULL;
    if (a->at == NULL || (a->settled && f == NULL)) return;
    int changed = a->settled ? breaker_broke(a->breaker, &a->settings, outcome, wait, code, now)
                             : breaker_settle(a->breaker, &a->settings, &a->ticket, outcome, wait, code, now);
    a->settled = true;
    if (changed & BREAKER_ALARM)
        say(a, PERILUNE_LOG_ERROR, "an upstream refuses the key that it is asked with: check upstreams.NAME.key",
            f->code);
    if (changed & BREAKER_HAS_OPENED) say(a, PERILUNE_LOG_WARN, "an upstream rests, because it fails", f->code);
    if (changed & BREAKER_HAS_CLOSED) say(a, PERILUNE_LOG_INFO, "an upstream is back", NULL);
}

static void note_time(const struct attempt *a, struct latency *l) {
    latency_add(l, loop_us(a->loop) - a->started_us, loop_now(a->loop));
}

static bool is_chat(const struct attempt *a) { return a->o.body != NULL && a->o.body->chat.messages != JSON_NONE; }

/* -- Life --------------------------------------------------------------------------------------- */

static void attempt_free(struct attempt *a) {
    request_put(a->o.request);
    body_put(a->o.body);
    mem_free(a);
}

/* What was entered (depth) is left; may free a. */
static void leave(struct attempt *a) {
    if (--a->depth == 0 && a->over) attempt_free(a);
}

static enum flow emit(struct attempt *a, const struct event *ev) {
    if (a->over) return FLOW_MORE;
    if (ev->type == EVENT_END || ev->type == EVENT_ERROR) a->over = true;
    return a->to->event(a->to, ev);
}

/* Who answers, when that is another one than was asked first. */
static struct slice other_name(const struct attempt *a) {
    return a->at != NULL && a->at != a->o.pool ? slice_str(a->at->target->name) : SLICE("");
}

/* -- Asking ------------------------------------------------------------------------------------------ */

static void aim(struct attempt *a, struct call_pool *at, const struct breaker_ticket *ticket) {
    a->at = at;
    a->breaker = &at->target->health->breaker;
    a->settings = balancer_settings(a->o.request, at->target);
    a->ticket = *ticket;
    a->settled = false;
    if (a->o.of != NULL) a->tried |= balancer_bit(a->v, a->o.of->target->pool, at);
}

/* A call to a->at; its events may come from inside.  False: no memory. */
static bool call(struct attempt *a) {
    struct outgoing o = a->o;
    uint64_t now = loop_now(a->loop);
    o.pool = a->at;
    if (a->until_ms != 0) o.timeout_ms = a->until_ms > now ? a->until_ms - now : 1;
    a->started_us = loop_us(a->loop);
    a->from = outgoing_call(a->v, &o, &a->form);
    if (a->from == NULL) return false;
    source_start(a->from, &a->sink);
    return true;
}

static void refuse(struct attempt *a, const char *name, uint64_t wait_ms) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_UNAVAILABLE, "the upstream rests, because it failed; try again later");
    f.retry_after_ms = wait_ms > 1000 ? (uint32_t)(wait_ms < RETRY_AFTER_MAX_MS ? wait_ms : RETRY_AFTER_MAX_MS) : 1000;
    snprintf(f.detail, sizeof(f.detail), "the breaker of '%s' is open", name);
    emit(a, &(struct event){ .type = EVENT_ERROR, .failure = &f, .upstream = slice_str(name) });
    failure_deinit(&f);
}

/* The single upstream, or the member that was picked already.  False: it is refused. */
static bool admit_first(struct attempt *a) {
    struct call_pool *at = a->o.pool;
    struct breaker *b = &at->target->health->breaker;
    struct breaker_settings s = balancer_settings(a->o.request, at->target);
    struct breaker_ticket ticket = a->o.ticket;
    if (a->o.of == NULL && !breaker_admit(b, &s, loop_now(a->loop), &ticket)) {
        if (a->o.request->breaker != NULL) {
            if (breaker_wants_scout(b, loop_now(a->loop))) scout_send(a->loop, at);
            refuse(a, at->target->name, breaker_refuses(b, loop_now(a->loop)));
            return false;
        }
        breaker_force(b, &ticket);
    }
    aim(a, at, &ticket);
    return true;
}

/* Nobody has picked yet: this call may be for many (coalesce.c). */
static bool pick_first(struct attempt *a) {
    struct balancer_pick p;
    balancer_pick(a->v, &a->o, 0, &p);
    if (p.pool != NULL) aim(a, p.pool, &p.ticket);
    else refuse(a, a->o.of->target->name, p.wait_ms);
    return p.pool != NULL;
}

static void start(struct source *s, struct sink *to) {
    struct attempt *a = container_of(s, struct attempt, source);
    const struct target *of = a->o.of ? a->o.of->target : NULL;
    uint64_t now = loop_now(a->loop);
    a->to = to;
    a->depth++;
    if (a->o.timeout_ms != 0) a->until_ms = now + a->o.timeout_ms;
    if (of != NULL) credit_earn(&of->pool->state->retries, RETRY_SHARE, RETRY_FLOOR, RETRY_SAVED, now);
    bool goes;
    if (of == NULL || a->o.picked == OUTGOING_PICKED) goes = admit_first(a);
    else if (a->o.picked == OUTGOING_REFUSED) refuse(a, of->name, a->o.wait_ms), goes = false;
    else goes = pick_first(a);
    a->o.picked = OUTGOING_NOT_PICKED; /* the ticket is in a->ticket */
    if (goes && !call(a)) {
        settle(a, BREAKER_NONE, NULL);
        emit(a, &(struct event){ .type = EVENT_ERROR, .failure = &no_memory });
    }
    leave(a);
}

/* -- Asking once more ------------------------------------------------------------------------------ */

/* Does sending it twice do the same as sending it once? */
static bool is_safe(const struct attempt *a, const struct failure *f) {
    if (f->unsent) return true;
    if (a->o.body != NULL && a->o.body->dialect != NULL) return true;
    return slice_eq(a->o.request->method, SLICE("GET")) || slice_eq(a->o.request->method, SLICE("HEAD"));
}

static bool same_text(const char *a, const char *b) { return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0); }

/* May this member do what the other one could not? */
static bool may_do(const struct failure *f, const struct target *was, const struct target *t) {
    enum breaker_outcome o = attempt_outcome(f, was);
    if (o == BREAKER_QUOTA || o == BREAKER_DENIED) return !t->key_from_client && !same_text(was->key, t->key);
    if (f->retryable) return true;
    bool model = err_body_is_content(f) || f->status == 404 || f->status == 410 || f->status == 413;
    return f->kind == FAILURE_UPSTREAM_STATUS && model && !same_text(was->model, t->model);
}

static bool has_time(const struct attempt *a) {
    uint64_t now = loop_now(a->loop), deadline = a->o.request->deadline_ms;
    return (a->until_ms == 0 || now < a->until_ms) && (deadline == 0 || now < deadline);
}

/* Another member for the same question, admitted; NULL: there is none, or it is not to be. */
static struct call_pool *next_member(struct attempt *a, const struct failure *f, struct breaker_ticket *ticket) {
    struct call_pool *of = a->o.of;
    if (of == NULL || a->headed || a->over || !a->o.request->live || !is_safe(a, f) || !has_time(a)) return NULL;
    const struct target_pool *p = of->target->pool;
    struct balancer_pick pick;
    if (a->again >= p->retries) return NULL;
    do { /* whoever would say the same is passed over */
        balancer_pick(a->v, &a->o, a->tried, &pick);
        if (pick.pool == NULL) return NULL;
        if (may_do(f, a->at->target, pick.pool->target)) break;
        breaker_drop(&pick.pool->target->health->breaker, &pick.ticket);
        a->tried |= balancer_bit(a->v, p, pick.pool);
    } while (true);
    *ticket = pick.ticket;
    if (credit_spend(&p->state->retries)) return pick.pool;
    atomic_fetch_add_explicit(&p->state->unpaid, 1, memory_order_relaxed);
    breaker_drop(&pick.pool->target->health->breaker, &pick.ticket);
    return NULL;
}

/* True: the failure is not told, because another one is asked. */
static bool ask_again(struct attempt *a, const struct failure *f) {
    struct breaker_ticket ticket;
    struct call_pool *next = next_member(a, f, &ticket);
    if (next == NULL) return false;
    say(a, PERILUNE_LOG_DEBUG, "another member of the pool is asked", f->code);
    a->again++;
    atomic_fetch_add_explicit(&a->o.of->target->pool->state->retried, 1, memory_order_relaxed);
    aim(a, next, &ticket);
    outgoing_note_call(a->o.request, next->target);
    if (call(a)) return true;
    settle(a, BREAKER_NONE, NULL);
    return false;
}

/* -- Events ------------------------------------------------------------------------------------------- */

static enum flow on_head(struct attempt *a, const struct event *ev) {
    struct event own = *ev;
    a->headed = true;
    settle(a, BREAKER_GOOD, NULL);
    own.upstream = other_name(a);
    if (own.upstream.len > 0) own.pass = &a->at->target->pass_headers;
    if (a->form.sent && is_chat(a)) note_time(a, &a->at->target->health->first);
    return emit(a, &own);
}

static void on_error(struct attempt *a, const struct event *ev) {
    struct event own = *ev;
    settle(a, attempt_outcome(ev->failure, a->at->target), ev->failure);
    if (ask_again(a, ev->failure)) return;
    own.upstream = other_name(a);
    emit(a, &own);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct attempt *a = container_of(k, struct attempt, sink);
    enum flow flow = FLOW_MORE;
    a->depth++;
    switch (ev->type) {
    case EVENT_HEAD: flow = on_head(a, ev); break;
    case EVENT_FRAME:
    case EVENT_BYTES: flow = emit(a, ev); break;
    case EVENT_END:
        a->from = NULL;
        settle(a, BREAKER_GOOD, NULL);
        if (!a->form.sent && is_chat(a)) note_time(a, &a->at->target->health->all);
        emit(a, ev);
        break;
    case EVENT_ERROR:
        a->from = NULL;
        on_error(a, ev);
        break;
    }
    leave(a); /* may free a */
    return flow;
}

static void resume(struct source *s) {
    struct attempt *a = container_of(s, struct attempt, source);
    if (a->from != NULL) source_resume(a->from);
}

/* A ticket that nobody has used yet. */
static void drop_ticket(const struct outgoing *o) {
    if (o->picked == OUTGOING_PICKED) breaker_drop(&o->pool->target->health->breaker, &o->ticket);
}

static void cancel(struct source *s) {
    struct attempt *a = container_of(s, struct attempt, source);
    struct source *from = a->from;
    a->depth++;
    a->over = true;
    a->from = NULL;
    drop_ticket(&a->o);
    settle(a, BREAKER_NONE, NULL);
    if (from != NULL) source_cancel(from);
    leave(a);
}

static const char *describe(const struct source *s, char *buf, size_t size) {
    const struct attempt *a = container_of((struct source *)(uintptr_t)s, struct attempt, source);
    return a->from != NULL ? source_describe(a->from, buf, size) : "an upstream";
}

static bool is_unsent(const struct source *s) {
    const struct attempt *a = container_of((struct source *)(uintptr_t)s, struct attempt, source);
    return a->from != NULL && source_is_unsent(a->from);
}

static const struct source_ops ops = { start, resume, cancel, NULL, describe, NULL, is_unsent };

struct source *attempt_new(const struct services *v, const struct outgoing *o, const struct outgoing_form *form) {
    struct attempt *a = mem_zalloc(sizeof(*a));
    if (a == NULL) {
        drop_ticket(o);
        return NULL;
    }
    a->source.ops = &ops;
    a->sink.event = on_event;
    a->v = v;
    a->loop = v->loop;
    a->o = *o;
    a->form = *form;
    request_ref(a->o.request);
    if (a->o.body != NULL) body_ref(a->o.body);
    return &a->source;
}
