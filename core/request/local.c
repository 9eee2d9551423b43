/* local.c -- an answer of a model in this process, as a source.
 *
 *     body --local_ask.c--> turn --mailbox--> resident (local/resident.c)
 *     attempt <-- reader <-- [ local ] <--news-- turn: text, tokens, ends
 *
 * It stands where a call to an upstream stands (upstream/call.c) and is treated as one: the breaker judges it, its
 * counts are the target's, its time limits are the target's `timeouts`, and the reader in front of it makes a whole
 * answer of its chunks where one is wanted.  So everything that works with upstreams works with it.
 *
 * It always speaks the chunks of a stream, with usage at the end.  HEAD comes with the first token: until then the
 * same question may go to somebody else.
 *
 *     WAITING --BEGUN--> SPEAKING --OVER--> (END)        FAILED and times lead to ERROR from both
 *
 * The model is not slowed down by a client that is: what it says is kept, at most a context full of it.
 *
 * What stands in the text, thoughts and calls of tools, is told apart in local_say.c. */
#include "request/local.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "request/local_say.h"

struct local {
    struct source       source;
    struct sink        *to;
    struct loop        *loop;
    struct mailbox     *mail;
    struct call_pool   *pool;    /* entered */
    struct request     *request; /* shares until start() */
    struct body        *body;
    struct turn        *turn;    /* NULL: not asked yet, or over */
    struct buf          taken;   /* events of it */
    struct buf          frames;  /* to be sent */
    struct timer        watch;
    struct target_timeouts timeouts;
    uint64_t            deadline_ms, started_ms, started_us;
    struct usage        usage;
    struct local_say    say;     /* of a chat */
    struct openai_answer answer;
    bool                headed, full, over, in_event, counted, usage_wanted, base64, is_chat;
    unsigned            vectors; /* that were written */
    bool                is_rank;
    struct local_rank   rank;
    char                id[48], model[RESPONSE_MODEL];
    void              (*gone)(void *ud);
    void               *gone_ud;
};

/* -- Life ------------------------------------------------------------------------------- */

static void let_go(struct local *l) {
    if (l->turn != NULL) turn_leave(l->turn, l->pool->target->engine);
    l->turn = NULL;
    timer_stop(l->loop, &l->watch);
    if (l->counted) atomic_fetch_sub_explicit(&l->pool->target->health->in_flight, 1, memory_order_relaxed);
    l->counted = false;
}

static void local_free(struct local *l) {
    struct call_pool *pool = l->pool;
    let_go(l);
    request_put(l->request);
    body_put(l->body);
    buf_deinit(&l->taken);
    buf_deinit(&l->frames);
    local_rank_deinit(&l->rank);
    local_say_deinit(&l->say);
    if (l->gone != NULL) l->gone(l->gone_ud);
    mem_free(l);
    call_pool_leave(pool); /* its generation may go with it */
}

static void emit(struct local *l, const struct event *ev) {
    if (l->over) return;
    l->full |= l->to->event(l->to, ev) == FLOW_FULL;
}

/* The last event. */
static void finish(struct local *l, const struct failure *f) {
    struct target_health *h = l->pool->target->health;
    if (l->over) return;
    let_go(l);
    if (f != NULL) target_count_failure(h, f);
    else histogram_record_shared(&h->whole, loop_hrtime_us() - l->started_us);
    emit(l, &(struct event){ .type = f ? EVENT_ERROR : EVENT_END, .failure = f });
    l->over = true;
}

static void fail(struct local *l, enum failure_kind kind, const char *text) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "%s", text);
    finish(l, &f);
    failure_deinit(&f);
}

/* -- Time --------------------------------------------------------------------------------- */

static void watch(struct local *l);

static void on_watch(struct timer *t) {
    struct local *l = container_of(t, struct local, watch);
    uint64_t now = loop_now(l->loop), first = l->timeouts.first_token_ms;
    l->in_event = true;
    if (l->deadline_ms != 0 && now >= l->deadline_ms)
        fail(l, FAILURE_DEADLINE, "the deadline of the request has passed");
    else if (!l->headed && first != 0 && now >= l->started_ms + first)
        fail(l, FAILURE_TIMEOUT, "the local model did not begin to answer in time (timeouts.first_token)");
    else if (l->timeouts.total_ms != 0 && now >= l->started_ms + l->timeouts.total_ms)
        fail(l, FAILURE_TIMEOUT, "the local model did not end its answer in time (timeouts.total)");
    else watch(l);
    l->in_event = false;
    if (l->over) local_free(l);
}

static uint64_t sooner(uint64_t a, uint64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

static void watch(struct local *l) {
    uint64_t at = sooner(l->deadline_ms, l->timeouts.total_ms ? l->started_ms + l->timeouts.total_ms : 0);
    if (!l->headed && l->timeouts.first_token_ms) at = sooner(at, l->started_ms + l->timeouts.first_token_ms);
    uint64_t now = loop_now(l->loop);
    if (at != 0 && timer_start(l->loop, &l->watch, at > now ? at - now : 1, on_watch) != 0)
        fail(l, FAILURE_NO_MEMORY, "out of memory");
}

/* -- What the model says --------------------------------------------------------------------- */

static void begin(struct local *l) {
    struct target_health *h = l->pool->target->health;
    l->headed = true;
    watch(l);
    histogram_record_shared(&h->head, loop_hrtime_us() - l->started_us);
    emit(l, &(struct event){ .type = EVENT_HEAD, .status = 200,
                             .content_type = l->is_chat ? SLICE("text/event-stream") : SLICE("application/json") });
    for (unsigned i = 0; i < l->say.count; i++) local_say_role(&l->say, i);
}

static void on_token(struct local *l, const struct turn_event *ev) {
    struct openai_logprob one = { ev->text, (double)ev->value }, tops[SAMPLER_TOPS];
    struct buf *to = local_say_token(&l->say, ev->choice);
    for (unsigned i = 0; i < ev->top_count; i++)
        tops[i] = (struct openai_logprob){ ev->tops[i].text, (double)ev->tops[i].value };
    openai_put_logprob(to, &one, tops, ev->top_count);
    if (buf_failed(to)) fail(l, FAILURE_NO_MEMORY, "out of memory");
}

static void on_text(struct local *l, const struct turn_event *ev) {
    if (local_say_text(&l->say, ev->choice, ev->text) != 0) fail(l, FAILURE_NO_MEMORY, "out of memory");
}

static void on_ended(struct local *l, const struct turn_event *ev) {
    static const char *const ends[] = { "stop", "length" }; /* ORDER turn_end */
    if (local_say_end(&l->say, ev->choice, ends[ev->end]) != 0) fail(l, FAILURE_NO_MEMORY, "out of memory");
}

static void put_base64(struct buf *out, struct slice s) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)s.ptr;
    buf_putc(out, '"');
    for (size_t i = 0; i < s.len; i += 3) {
        uint32_t second = i + 1 < s.len ? p[i + 1] : 0, third = i + 2 < s.len ? p[i + 2] : 0;
        uint32_t v = (uint32_t)p[i] << 16 | second << 8 | third;
        char four[4] = { digits[v >> 18], digits[v >> 12 & 63], i + 1 < s.len ? digits[v >> 6 & 63] : '=',
                         i + 2 < s.len ? digits[v & 63] : '=' };
        buf_put(out, four, sizeof(four));
    }
    buf_putc(out, '"');
}

/* Nine digits tell every float from its neighbours. */
static void put_numbers(struct buf *out, struct slice s) {
    char text[32];
    for (size_t i = 0; i < s.len; i += sizeof(float)) {
        float v;
        memcpy(&v, s.ptr + i, sizeof(v));
        int n = snprintf(text, sizeof(text), "%c%.9g", i ? ',' : '[', (double)v);
        buf_put(out, text, (size_t)n);
    }
    buf_putc(out, ']');
}

static void on_vector(struct local *l, const struct turn_event *ev) {
    struct buf *out = &l->frames;
    if (l->is_rank) {
        local_rank_note(&l->rank, ev->choice, ev->text);
        return;
    }
    buf_puts(out, l->vectors++ ? "," : "{\"object\":\"list\",\"data\":[");
    buf_puts(out, "{\"object\":\"embedding\",\"index\":");
    buf_u64(out, ev->choice);
    buf_puts(out, ",\"embedding\":");
    if (l->base64) put_base64(out, ev->text);
    else put_numbers(out, ev->text);
    buf_putc(out, '}');
}

static void put_rest(struct local *l) {
    struct buf *out = &l->frames;
    if (l->is_chat) {
        openai_chunk_usage(out, &l->answer);
        dialect_write_event(out, openai_chat.end_mark);
        return;
    }
    if (l->is_rank) {
        if (!local_rank_write(&l->rank, out, l->answer.id, l->answer.model, l->usage.prompt))
            fail(l, FAILURE_NO_MEMORY, "out of memory");
        return;
    }
    buf_puts(out, "],\"model\":");
    json_write_string(out, l->answer.model);
    buf_printf(out, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}", (unsigned long long)l->usage.prompt,
               (unsigned long long)l->usage.prompt);
}

static void on_failed(struct local *l, const struct turn_event *ev) {
    struct failure f;
    static const enum failure_kind kinds[] = { /* ORDER turn_code */
        FAILURE_INVALID_REQUEST, FAILURE_INVALID_REQUEST, FAILURE_UNAVAILABLE, FAILURE_UPSTREAM, FAILURE_CONNECT,
        FAILURE_UNAVAILABLE, FAILURE_NO_MEMORY };
    failure_init(&f);
    failure_set(&f, kinds[ev->code], "%.*s", SLICE_ARG(ev->text));
    if (ev->code == TURN_BUSY) f.retry_after_ms = 1000;
    if (ev->code == TURN_DOWN) { /* a server that nobody reaches, for breakers and pools; it says when to come again */
        f.status = 503;
        f.retry_after_ms = ev->limit;
    }
    if (ev->code == TURN_TOO_LONG) {
        failure_set(&f, FAILURE_INVALID_REQUEST, "the prompt has %s%u tokens, and this model's context has room for %u",
                    ev->at_least ? "at least " : "", ev->prompt, ev->limit);
        snprintf(f.code, sizeof(f.code), "context_length_exceeded");
        snprintf(f.param, sizeof(f.param), "%s", l->is_chat ? "messages" : l->is_rank ? "documents" : "input");
    }
    finish(l, &f);
    failure_deinit(&f);
}

static void on_over(struct local *l, const struct turn_event *ev) {
    l->usage = (struct usage){ .known = true, .prompt = ev->prompt, .completion = ev->completion,
                               .cached = ev->cached };
    if (!l->headed) begin(l);
    if (!l->over) put_rest(l);
}

static void on_turn_event(struct local *l, const struct turn_event *ev) {
    switch (ev->type) {
    case TURN_BEGUN: if (!l->headed) begin(l); break;
    case TURN_TEXT: on_text(l, ev); break;
    case TURN_TOKEN: on_token(l, ev); break;
    case TURN_ENDED: on_ended(l, ev); break;
    case TURN_VECTOR: on_vector(l, ev); break;
    case TURN_OVER: on_over(l, ev); break;
    case TURN_FAILED: on_failed(l, ev); break;
    }
}

/* Everything that came, in one piece. */
static void forward(struct local *l) {
    struct slice all = buf_get(&l->taken);
    struct turn_event ev = { .type = TURN_BEGUN };
    bool last = false;
    while (!l->over && turn_next(&all, &ev)) {
        on_turn_event(l, &ev);
        last = ev.type == TURN_OVER;
    }
    buf_clear(&l->taken);
    if (buf_failed(&l->frames)) fail(l, FAILURE_NO_MEMORY, "out of memory");
    /* A body of vectors goes when it is whole: before that it may still fail. */
    bool ready = l->is_chat || last;
    if (!l->over && ready && buf_len(&l->frames) > 0)
        emit(l, &(struct event){ .type = EVENT_BYTES, .raw = buf_get(&l->frames) });
    if (ready) buf_clear(&l->frames);
    if (last && !l->over) finish(l, NULL);
}

static void take(struct local *l) {
    l->in_event = true;
    if (turn_take(l->turn, &l->taken)) forward(l);
    else fail(l, FAILURE_NO_MEMORY, "out of memory");
    l->in_event = false;
    if (l->over) local_free(l);
}

static void on_news(void *ud) {
    struct local *l = ud;
    if (!l->full && !l->over && !l->in_event) take(l);
}

/* -- As a source --------------------------------------------------------------------------------- */

/* The question is asked.  False: it is told why not. */
static bool ask(struct local *l) {
    struct failure f;
    struct resident *r = l->pool->target->engine;
    struct local_question *q = mem_alloc(sizeof(*q));
    failure_init(&f);
    if (q == NULL) {
        fail(l, FAILURE_NO_MEMORY, "out of memory");
        return false;
    }
    q->rank = &l->rank;
    int rc = local_read(q, l->pool->target, l->request, l->body, &f);
    if (rc == 0 && l->is_chat && (rc = local_say_init(&l->say, &q->reading, q->ask.choices)) != 0)
        failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    l->base64 = q->base64;
    if (rc == 0) {
        l->turn = turn_new(r, &q->ask, l->mail, on_news, l);
        if (l->turn == NULL) failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    }
    local_question_deinit(q);
    mem_free(q);
    if (failure_is_set(&f)) finish(l, &f);
    failure_deinit(&f);
    return !l->over;
}

static void start(struct source *s, struct sink *to) {
    struct local *l = container_of(s, struct local, source);
    struct target_health *h = l->pool->target->health;
    l->to = to;
    l->started_ms = loop_now(l->loop);
    l->started_us = loop_hrtime_us();
    l->answer.created = (uint64_t)clock_wall_s();
    l->counted = true;
    atomic_fetch_add_explicit(&h->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->in_flight, 1, memory_order_relaxed);
    l->in_event = true;
    if (ask(l)) watch(l);
    request_put(l->request);
    body_put(l->body);
    l->request = NULL;
    l->body = NULL;
    l->in_event = false;
    if (l->over) local_free(l);
}

static void resume(struct source *s) {
    struct local *l = container_of(s, struct local, source);
    l->full = false;
    if (!l->over && !l->in_event && l->turn != NULL) take(l);
}

static void cancel(struct source *s) {
    struct local *l = container_of(s, struct local, source);
    bool alone = !l->in_event;
    let_go(l);
    l->over = true;
    if (alone) local_free(l);
}

static const char *describe(const struct source *s, char *buf, size_t size) {
    const struct local *l = container_of((struct source *)(uintptr_t)s, struct local, source);
    snprintf(buf, size, "local model %s: %s", l->pool->target->name,
             l->full ? "the client" : l->headed ? "next token" : "first token");
    return buf;
}

static const struct source_ops ops = { start, resume, cancel, NULL, describe, NULL, NULL };

/* -- Making ------------------------------------------------------------------------------------------ */

static void name_model(struct local *l, const struct target *t, const struct body *body) {
    snprintf(l->model, sizeof(l->model), "%s", t->model ? t->model : t->name);
    if (t->model != NULL || body == NULL || !json_is(&body->doc, body->chat.model, JSON_STRING)) return;
    json_copy_string(&body->doc, 0, SLICE("model"), l->model, sizeof(l->model));
}

static uint64_t shorter(uint64_t a, uint64_t b) { return a == 0 ? b : b == 0 || a < b ? a : b; }

struct source *local_new(const struct services *v, const struct outgoing *o, const struct outgoing_form *form) {
    struct local *l = mem_zalloc(sizeof(*l));
    if (l == NULL) return NULL;
    l->source.ops = &ops;
    l->loop = v->loop;
    l->mail = v->mail;
    l->pool = o->pool;
    call_pool_enter(l->pool);
    l->request = request_ref(o->request);
    l->body = o->body ? body_ref(o->body) : NULL;
    l->is_rank = local_rank_is(o->request->path, o->body);
    l->is_chat = !l->is_rank && (o->body == NULL || o->body->dialect != &openai_embeddings);
    l->timeouts = o->pool->target->timeouts;
    l->deadline_ms = o->shared ? 0 : o->request->deadline_ms;
    if (form->sent && form->given) l->timeouts.first_token_ms = shorter(l->timeouts.first_token_ms, o->timeout_ms);
    else l->timeouts.total_ms = shorter(l->timeouts.total_ms, o->timeout_ms);
    buf_init(&l->taken, 0);
    buf_init(&l->frames, 0);
    name_model(l, o->pool->target, o->body);
    char hex[33];
    rng_hex128(&v->loop->rng, hex);
    snprintf(l->id, sizeof(l->id), "%s-%.24s", l->is_rank ? "rerank" : "chatcmpl", hex);
    l->answer = (struct openai_answer){ .id = slice_str(l->id), .model = slice_str(l->model), .usage = &l->usage };
    l->say.out = &l->frames;
    l->say.answer = &l->answer;
    l->say.rng = &l->loop->rng;
    l->gone = o->over;
    l->gone_ud = o->ud;
    if (o->made != NULL) o->made(o->ud);
    return &l->source;
}
