/* trial.c -- a question that another upstream answers, too, for nobody.
 *
 *     request (its client has its answer) --copy, body as policies left it--> trial --> exchange --> upstream
 *                                                                               +<-- events
 *     over(result) <---------------------------------------------------------------+
 *
 * It is an exchange like that of a client, so it is in flight, logged (with the id of the request and "-trial" behind
 * it) and counted like any other, because its tokens cost the same; but no policy runs: they have had their say, and
 * one of them asked for this.  Nobody waits for it, nothing of it reaches a cache, and when MOST are under way there is
 * no other one.  It has the deadline of a request.
 *
 * Who asked is memory of this file's own, so that the client may leave when it likes. */
#include "gateway/trial.h"

#include <stdio.h>

#include "bridge/event_reader.h"

#define MOST 32 /* at once, of one worker */

struct trial {
    struct exchange     x;
    struct sink         sink;
    void              (*over)(void *ud, const struct trial_result *result);
    void               *ud;
    struct trial_result result;
    struct event_reader reader;
    struct buf          text;
    char                code[48];
};

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct trial *t = container_of(k, struct trial, sink);
    if (ev->usage != NULL) t->result.usage = *ev->usage;
    if ((ev->type == EVENT_FRAME || ev->type == EVENT_BYTES) && buf_len(&t->text) < TRIAL_TEXT)
        event_reader_text(&t->reader, t->x.dialect, ev, 0, &t->text);
    if (ev->type == EVENT_END) t->result.ok = true;
    if (ev->type == EVENT_ERROR) snprintf(t->code, sizeof(t->code), "%s", ev->failure->code);
    return FLOW_MORE;
}

static void understood(struct exchange *x) { (void)x; }

static void trial_free(struct exchange *x) {
    struct trial *t = container_of(x, struct trial, x);
    struct slice text = buf_failed(&t->text) ? SLICE("") : buf_get(&t->text);
    if (!t->result.ok && t->code[0] == '\0') snprintf(t->code, sizeof(t->code), "canceled");
    t->result.code = t->code;
    t->result.total_us = x->total_us;
    t->result.text = text.len < TRIAL_TEXT ? text : slice_of(text.ptr, TRIAL_TEXT);
    x->w->trials--;
    t->over(t->ud, &t->result);
    event_reader_deinit(&t->reader);
    buf_deinit(&t->text);
    mem_free(t);
}

static const struct exchange_ops ops = { understood, trial_free, NULL };

static const struct exchange *exchange_of(const struct worker *w, const struct request *r) {
    for (const struct list *l = w->exchanges.next; l != &w->exchanges; l = l->next) {
        const struct exchange *x = container_of((struct list *)(uintptr_t)l, struct exchange, link);
        if (x->req == r) return x;
    }
    return NULL; /* a question that a policy made itself */
}

bool trial_begin(struct services *v, const struct trial_ask *ask) {
    struct worker *w = v->ask_again_ud;
    const struct exchange *from = exchange_of(w, ask->request);
    if (from == NULL || ask->body == NULL || body_is_cleared(ask->body) || w->trials >= MOST) return false;
    struct trial *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return false;
    t->sink.event = on_event;
    t->over = ask->over;
    t->ud = ask->ud;
    buf_init(&t->text, 4 * TRIAL_TEXT);
    if (exchange_init(&t->x, w, from->gen, &ops, &t->sink, loop_hrtime_us()) != 0) {
        mem_free(t);
        return false;
    }
    char id[sizeof(from->req->id) + 8];
    snprintf(id, sizeof(id), "%s-trial", from->req->id);
    exchange_propose_id(&t->x, slice_str(id));
    w->trials++;
    exchange_begin_trial(&t->x, from, ask->body, ask->upstream);
    return true;
}

void trial_end_all(struct worker *w) {
    for (struct list *l = w->exchanges.next, *next; l != &w->exchanges; l = next) {
        struct exchange *x = container_of(l, struct exchange, link);
        next = l->next;
        if (x->ops == &ops) exchange_gone(x);
    }
}
