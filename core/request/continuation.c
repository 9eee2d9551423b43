/* continuation.c -- an answer that breaks off, and goes on elsewhere.
 *
 *     response <-- [ continuation ] <-- attempt: "The three steps are: first," -- reset
 *                        |
 *                        +-- said, so far --> prefill.c --> another attempt: " open the box." -- END
 *
 *     FIRST --broke off, and it can go on--> AGAIN --HEAD--> REST --END, ERROR--> OVER
 *                                              +--ERROR: the first failure is told--> OVER
 *     (cancel leads to OVER from everywhere; REST that breaks off leads to AGAIN, TIMES in all)
 *
 * What a client has of a stream cannot be taken back, so a stream that breaks off would end in an error.  Models that
 * can be given the beginning of their answer write the rest, and the client sees one stream: the
 * same id, one role, one end.  Who is asked is picked anew where the upstream is a pool.
 *
 * This is for streams of one choice that say text.  Calls of tools, refusals and reasoning behind the first
 * word are not gone on with: nothing says how.  What was said is kept up to SAID_MAX; a longer answer breaks off
 * as ever.  Nor is it done twice at one place: an upstream that breaks off without a word more would again.
 *
 * An upstream that refuses the beginning, or fails before it says anything, changes nothing: the client gets the
 * failure that the first one was. */
#include "request/continuation.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "llm/dialect.h"
#include "llm/prefill.h"
#include "request/attempt.h"
#include "request/spending.h"

#define SAID_MAX (256 * 1024)
#define TIMES    2

enum continuation_state { FIRST, AGAIN, REST, OVER };

struct continuation {
    struct source        source;
    struct sink          sink;  /* of `from` */
    struct sink         *to;
    struct source       *from;  /* NULL: none, or it has ended */
    const struct services *v;   /* while the request lives */
    struct outgoing      o;     /* with shares of request and body */
    struct outgoing_form form;
    enum prefill         how;
    enum continuation_state state;
    unsigned             times, depth; /* depth: calls of ours on the stack */
    bool                 can;   /* nothing was said that cannot be gone on with */
    bool                 ended; /* the choice is complete */
    struct buf           said, common, scratch, raw;
    size_t               said_before; /* bytes when it broke off last */
    uint64_t             frames;  /* since then, or since it began */
    char                 at[64];  /* who gives it, when that is not the one that was asked first */
    struct json_doc      doc;
    struct piece_list    pieces;
    struct piece_half    half;
    struct failure       why;   /* it broke off so first */
};

/* -- What is said -------------------------------------------------------------------- */

/* Many servers name what they do not tell: "logprobs":null. */
static bool is_nothing(const struct continuation *c, const struct piece *p) {
    return p->kind == PIECE_LOGPROBS && json_type(&c->doc, p->node) == JSON_NULL;
}

static void note_piece(struct continuation *c, const struct piece *p) {
    bool text = p->kind == PIECE_TEXT && p->choice == 0;
    if (p->kind == PIECE_END) c->ended = true;
    else if (text) piece_decode(&c->doc, p->node, &c->half, &c->said);
    else if (!is_nothing(c, p) && (p->kind != PIECE_REASONING || buf_len(&c->said) > 0)) c->can = false;
}

/* The event is in c->doc. */
static void note(struct continuation *c) {
    const struct dialect *d = c->o.body->dialect;
    if (buf_len(&c->common) == 0) d->write_common(&c->common, &c->doc);
    d->pieces(&c->doc, &c->pieces);
    for (unsigned i = 0; i < c->pieces.len; i++) note_piece(c, &c->pieces.items[i]);
    bool failed = buf_failed(&c->said) || buf_failed(&c->common) || c->pieces.failed;
    if (failed || buf_len(&c->said) > SAID_MAX) c->can = false;
}

/* -- Going on ---------------------------------------------------------------------------- */

static bool has_time(const struct continuation *c) {
    const struct request *r = c->o.request;
    return r->live && (r->deadline_ms == 0 || loop_now(c->v->loop) < r->deadline_ms);
}

static bool is_break(const struct continuation *c, const struct failure *f) {
    enum breaker_outcome o = attempt_outcome(f, c->o.pool->target);
    return o == BREAKER_DARK || o == BREAKER_FAILED || o == BREAKER_LIMITED;
}

static bool can_go_on(const struct continuation *c, const struct failure *f) {
    bool said_more = buf_len(&c->said) > c->said_before;
    return c->can && !c->ended && said_more && c->half.len == 0 && c->times < TIMES && is_break(c, f) && has_time(c);
}

static void say(const struct continuation *c, int level, const char *what, const struct failure *f) {
    struct log *log = c->o.pool->client->log;
    if (log == NULL || !log_wants(log, level)) return;
    struct buf line;
    buf_init(&line, 0);
    log_begin(&line, level, what);
    log_str(&line, "request_id", slice_str(c->o.request->id));
    log_str(&line, "upstream", slice_str(c->o.pool->target->name));
    log_str(&line, "code", slice_str(f->code));
    log_u64(&line, "bytes", buf_len(&c->said));
    log_end(log, level, &line);
    buf_deinit(&line);
}

/* The body that asks for the rest; NULL: it cannot be made. */
static struct body *rest_of(const struct continuation *c) {
    struct body *b = NULL;
    struct buf text;
    struct failure f;
    failure_init(&f);
    buf_init(&text, 0);
    prefill_write(&c->o.body->doc, &c->o.body->chat, c->how, buf_get(&c->said), &text);
    if (buf_failed(&text) || body_new(&b, &text, c->o.body->dialect, &f) != 0) b = NULL;
    buf_deinit(&text);
    failure_deinit(&f);
    return b;
}

static struct source *ask_for(const struct continuation *c, struct body *rest) {
    struct outgoing o = c->o;
    o.body = rest;
    o.picked = OUTGOING_NOT_PICKED;
    return attempt_new(c->v, &o, &c->form);
}

/* What was said until here is paid, whatever the rest costs. */
static void note_paid(struct continuation *c) {
    struct spending *s = c->o.request->spending;
    if (s == NULL) return;
    uint64_t tokens = (buf_len(&c->said) - c->said_before) / 4; /* as many bytes; or one an event */
    struct spending_row row = { .serial = ++s->calls, .prompts = 1,
                         .usage = { .known = true, .completion = tokens > c->frames ? tokens : c->frames } };
    snprintf(row.upstream, sizeof(row.upstream), "%s", c->at[0] != '\0' ? c->at : c->o.pool->target->name);
    spending_note(s, &row);
}

/* True: the failure is not told, because the rest was asked for. */
static bool go_on(struct continuation *c, const struct failure *f) {
    if (!c->can) say(c, PERILUNE_LOG_INFO, "an answer broke off that cannot be gone on with", f);
    if (!can_go_on(c, f)) return false;
    struct body *rest = rest_of(c);
    struct source *from = rest != NULL ? ask_for(c, rest) : NULL;
    body_put(rest);
    if (from == NULL) return false;
    say(c, PERILUNE_LOG_WARN, "an answer broke off, and the rest is asked for", f);
    if (c->times++ == 0) failure_copy(&c->why, f);
    note_paid(c);
    c->frames = 0;
    c->said_before = buf_len(&c->said);
    c->state = AGAIN;
    c->from = from;
    outgoing_note_call(c->o.request, c->o.pool->target);
    atomic_fetch_add_explicit(&c->o.pool->target->health->continued, 1, memory_order_relaxed);
    source_start(from, &c->sink);
    return true;
}

/* -- Life ----------------------------------------------------------------------------------- */

static void free_it(struct continuation *c) {
    request_put(c->o.request);
    body_put(c->o.body);
    buf_deinit(&c->said);
    buf_deinit(&c->common);
    buf_deinit(&c->scratch);
    buf_deinit(&c->raw);
    json_deinit(&c->doc);
    piece_list_deinit(&c->pieces);
    failure_deinit(&c->why);
    mem_free(c);
}

/* What was entered (depth) is left; may free c. */
static void leave(struct continuation *c) {
    if (--c->depth == 0 && c->state == OVER) free_it(c);
}

static enum flow emit(struct continuation *c, const struct event *ev) {
    if (c->state == OVER) return FLOW_MORE;
    if (ev->type == EVENT_END || ev->type == EVENT_ERROR) c->state = OVER;
    return c->to->event(c->to, ev);
}

/* -- Events ----------------------------------------------------------------------------------- */

/* An event of the rest, as one of the answer. */
static enum flow emit_rest(struct continuation *c, const struct event *ev) {
    struct event own = *ev;
    buf_clear(&c->scratch);
    buf_clear(&c->raw);
    prefill_write_rest(&c->doc, buf_get(&c->common), &c->scratch);
    dialect_write_event(&c->raw, buf_get(&c->scratch));
    if (buf_failed(&c->scratch) || buf_failed(&c->raw)) return emit(c, ev); /* another id is better than no text */
    own.data = buf_get(&c->scratch);
    own.raw = buf_get(&c->raw);
    return emit(c, &own);
}

static enum flow on_frame(struct continuation *c, const struct event *ev) {
    struct json_error ignored;
    c->frames++;
    bool parsed = !dialect_is_end(c->o.body->dialect, ev->data) && json_parse(&c->doc, ev->data, &ignored) == 0 &&
                  json_type(&c->doc, 0) == JSON_OBJECT;
    if (parsed) note(c);
    return parsed && c->state == REST ? emit_rest(c, ev) : emit(c, ev);
}

static enum flow on_head(struct continuation *c, const struct event *ev) {
    slice_copy(c->at, sizeof(c->at), ev->upstream);
    if (c->state == FIRST) return emit(c, ev);
    c->state = REST; /* the client has one already */
    return FLOW_MORE;
}

static void on_error(struct continuation *c, const struct event *ev) {
    struct event own = *ev;
    if (c->state == AGAIN) own.failure = &c->why;
    else if (go_on(c, ev->failure)) return;
    emit(c, &own);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct continuation *c = container_of(k, struct continuation, sink);
    enum flow flow = FLOW_MORE;
    c->depth++;
    if (ev->type == EVENT_END || ev->type == EVENT_ERROR) c->from = NULL;
    switch (ev->type) {
    case EVENT_HEAD: flow = on_head(c, ev); break;
    case EVENT_FRAME: flow = on_frame(c, ev); break;
    case EVENT_ERROR: on_error(c, ev); break;
    default: flow = emit(c, ev);
    }
    leave(c); /* may free c */
    return flow;
}

/* -- As a source -------------------------------------------------------------------------------- */

static void start(struct source *s, struct sink *to) {
    struct continuation *c = container_of(s, struct continuation, source);
    c->to = to;
    c->depth++;
    source_start(c->from, &c->sink);
    leave(c);
}

static void resume(struct source *s) {
    struct continuation *c = container_of(s, struct continuation, source);
    if (c->from != NULL) source_resume(c->from);
}

static void cancel(struct source *s) {
    struct continuation *c = container_of(s, struct continuation, source);
    struct source *from = c->from;
    c->depth++;
    c->state = OVER;
    c->from = NULL;
    if (from != NULL) source_cancel(from);
    leave(c);
}

static const char *describe(const struct source *s, char *buf, size_t size) {
    const struct continuation *c = container_of((struct source *)(uintptr_t)s, struct continuation, source);
    return c->from != NULL ? source_describe(c->from, buf, size) : "an upstream";
}

static const struct source_ops ops = { start, resume, cancel, NULL, describe, NULL, NULL };

/* How this upstream is told; of a pool, when all its members are told in the same way. */
static enum prefill prefill_of(const struct services *v, const struct outgoing *o) {
    enum prefill how = (enum prefill)o->pool->target->prefill;
    const struct target_pool *p = o->of != NULL ? o->of->target->pool : NULL;
    for (unsigned i = 0; p != NULL && i < p->count; i++)
        if (v->pools[p->members[i].target].target->prefill != (unsigned char)how) return PREFILL_NONE;
    return how;
}

struct source *continuation_new(const struct services *v, const struct outgoing *o, const struct outgoing_form *form,
                                struct source *from) {
    enum prefill how = prefill_of(v, o);
    const struct body *b = o->body;
    bool suits = from != NULL && how != PREFILL_NONE && form->sent && form->given && b != NULL && b->dialect != NULL &&
                 b->dialect->pieces != NULL && prefill_suits(&b->doc, &b->chat);
    if (!suits) return from;
    struct continuation *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        source_cancel(from);
        return NULL;
    }
    c->source.ops = &ops;
    c->sink.event = on_event;
    c->v = v;
    c->o = *o;
    c->form = *form;
    c->how = how;
    c->from = from;
    c->can = true;
    request_ref(c->o.request);
    body_ref(c->o.body);
    buf_init(&c->said, 0);
    buf_init(&c->common, 0);
    buf_init(&c->scratch, 0);
    buf_init(&c->raw, 0);
    failure_init(&c->why);
    return &c->source;
}
