/* turn.c -- one question to a local model, between the thread that asks and the one that answers.
 *
 *     asking thread                                        the resident's thread
 *     turn_new --------- letter `asks` ------------------> queue, rows, steps
 *     told() <---------- letter `news`, one at a time ---- turn_write ... turn_post, once a step
 *     turn_take <------- `out`, under the lock
 *     turn_leave ------- left = true, ring --------------> leaves the batch behind the step under way
 *
 * Events wait in one buffer, however slow the asking thread is: an answer is bounded by the model's context, so is the
 * buffer.  One letter is enough for all that came since the last one was opened.
 *
 * A turn is counted: each thread has a share, and a letter on its way has one.  Whoever asked may leave at any moment;
 * what comes after that is for nobody.  A mailbox that was closed refuses letters: then nobody can hear of it. */
#include "local/turn.h"

#include <string.h>

#include "include/perilune.h"
#include "local/resident.h"

/* -- Shares ------------------------------------------------------------------------------ */

void turn_put(struct turn *t) {
    if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1) return;
    pthread_mutex_destroy(&t->lock);
    buf_deinit(&t->out);
    stops_free(t->stops);
    arena_deinit(t->kept);
    mem_free(t->kept);
    mem_free(t);
}

static void *keep(struct arena *a, const void *from, size_t size, bool *ok) {
    void *to = arena_alloc(a, size + 1);
    if (to == NULL) *ok = false;
    else if (size > 0) memcpy(to, from, size);
    return to;
}

static struct slice keep_text(struct arena *a, struct slice from, bool *ok) {
    return from.len > 0 ? slice_of(keep(a, from.ptr, from.len, ok), from.len) : SLICE("");
}

static const struct slice *keep_slices(struct arena *a, const struct slice *from, unsigned count, bool *ok) {
    struct slice *to = keep(a, from, count * sizeof(*to), ok);
    for (unsigned i = 0; to != NULL && i < count; i++)
        to[i] = slice_of(keep(a, from[i].ptr, from[i].len, ok), from[i].len);
    return to;
}

static bool keep_ask(struct turn *t, const struct turn_ask *ask) {
    bool ok = true;
    t->ask = *ask;
    t->ask.texts = keep_slices(t->kept, ask->texts, ask->text_count, &ok);
    t->ask.question = slice_of(keep(t->kept, ask->question.ptr, ask->question.len, &ok), ask->question.len);
    t->ask.stops = keep_slices(t->kept, ask->stops, ask->stop_count, &ok);
    t->ask.sampling.biases = keep(t->kept, ask->sampling.biases,
                                  ask->sampling.bias_count * sizeof(*ask->sampling.biases), &ok);
    if (ask->grammar != NULL) {
        char *text = keep(t->kept, ask->grammar, strlen(ask->grammar), &ok);
        if (text != NULL) text[strlen(ask->grammar)] = '\0';
        t->ask.grammar = text;
    }
    t->ask.reading.marks.open = keep_text(t->kept, ask->reading.marks.open, &ok);
    t->ask.reading.marks.close = keep_text(t->kept, ask->reading.marks.close, &ok);
    t->ask.reading.strings = keep_text(t->kept, ask->reading.strings, &ok);
    const char *why; /* who asks has looked at them */
    if (!ok || ask->stop_count == 0) return ok;
    return stops_new(&t->stops, t->ask.stops, t->ask.stop_count, &why) == 0;
}

static struct turn *turn_alloc(void) {
    struct turn *t = mem_zalloc(sizeof(*t));
    struct arena *kept = t ? mem_alloc(sizeof(*kept)) : NULL;
    if (kept == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
        mem_free(kept);
        mem_free(t);
        return NULL;
    }
    arena_init(kept);
    t->kept = kept;
    buf_init(&t->out, 0);
    list_init(&t->asks.link);
    list_init(&t->news.link);
    return t;
}

struct turn *turn_new(struct resident *r, const struct turn_ask *ask, struct mailbox *mail, void (*told)(void *ud),
                      void *ud) {
    struct turn *t = turn_alloc();
    if (t == NULL) return NULL;
    atomic_init(&t->refs, 2);
    t->mail = mail;
    t->told = told;
    t->ud = ud;
    if (!keep_ask(t, ask)) {
        atomic_store(&t->refs, 1);
        turn_put(t);
        return NULL;
    }
    resident_ask(r, t); /* takes the second share */
    return t;
}

void turn_leave(struct turn *t, struct resident *r) {
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->left, true);
    pthread_mutex_unlock(&t->lock);
    t->told = NULL;
    resident_ring(r);
    turn_put(t);
}

/* -- Events --------------------------------------------------------------------------------- */

#define AT_LEAST 0x100u /* in the word of a failure, beside its code */

struct head {
    uint8_t  type, tops;
    uint16_t choice;
    uint32_t len; /* of the text */
    union {
        float    value;
        uint32_t word;
    } a;
    uint32_t prompt, completion, cached, limit;
};

static void put_top(struct buf *out, const struct turn_top *top) {
    uint32_t len = (uint32_t)top->text.len;
    buf_put(out, &top->value, sizeof(top->value));
    buf_put(out, &len, sizeof(len));
    buf_slice(out, top->text);
}

void turn_write(struct turn *t, const struct turn_event *ev) {
    struct head h = { .type = (uint8_t)ev->type, .tops = (uint8_t)ev->top_count, .choice = (uint16_t)ev->choice,
                      .len = (uint32_t)ev->text.len, .prompt = ev->prompt, .completion = ev->completion,
                      .cached = ev->cached, .limit = ev->limit };
    if (ev->type == TURN_TOKEN) h.a.value = ev->value;
    else if (ev->type == TURN_FAILED) h.a.word = (uint32_t)ev->code | (ev->at_least ? AT_LEAST : 0);
    else h.a.word = (uint32_t)ev->end;
    if (turn_is_left(t)) return;
    pthread_mutex_lock(&t->lock);
    buf_put(&t->out, &h, sizeof(h));
    buf_slice(&t->out, ev->text);
    for (unsigned i = 0; i < ev->top_count; i++) put_top(&t->out, &ev->tops[i]);
    pthread_mutex_unlock(&t->lock);
}

static void news_opened(struct letter *m, void *owner) {
    struct turn *t = container_of(m, struct turn, news);
    (void)owner;
    pthread_mutex_lock(&t->lock);
    t->posted = false;
    pthread_mutex_unlock(&t->lock);
    if (t->told != NULL) t->told(t->ud);
    turn_put(t);
}

/* The letter is sent under the lock that turn_leave() takes: who left may close its mailbox at once. */
struct mailbox *turn_put_news(struct turn *t) {
    bool owes = false;
    pthread_mutex_lock(&t->lock);
    bool post = !turn_is_left(t) && !t->posted && (buf_len(&t->out) > 0 || buf_failed(&t->out));
    if (post) {
        atomic_fetch_add(&t->refs, 1);
        t->posted = mailbox_put(t->mail, &t->news, news_opened, &owes);
        if (!t->posted) atomic_store(&t->left, true); /* its thread has ended */
    }
    bool refused = post && !t->posted;
    struct mailbox *mail = owes ? t->mail : NULL;
    pthread_mutex_unlock(&t->lock);
    if (refused) turn_put(t);
    return mail;
}

void turn_post(struct turn *t) {
    struct mailbox *mail = turn_put_news(t);
    if (mail != NULL) mailbox_pay(mail);
}

bool turn_take(struct turn *t, struct buf *to) {
    pthread_mutex_lock(&t->lock);
    bool lost = buf_failed(&t->out);
    struct slice all = buf_get(&t->out);
    if (!lost) buf_slice(to, all);
    if (!lost && !buf_failed(to)) buf_clear(&t->out);
    pthread_mutex_unlock(&t->lock);
    return !lost && !buf_failed(to);
}

static const char *cut(struct slice *s, size_t n) {
    const char *at = s->ptr;
    *s = slice_of(s->ptr + n, s->len - n);
    return at;
}

bool turn_next(struct slice *bytes, struct turn_event *ev) {
    struct head h;
    if (bytes->len < sizeof(h)) return false;
    memcpy(&h, cut(bytes, sizeof(h)), sizeof(h));
    *ev = (struct turn_event){ .type = (enum turn_event_type)h.type, .choice = h.choice, .top_count = h.tops,
                               .value = h.a.value, .prompt = h.prompt, .completion = h.completion,
                               .cached = h.cached, .limit = h.limit };
    if (ev->type == TURN_FAILED) {
        ev->code = (enum turn_code)(h.a.word & ~AT_LEAST);
        ev->at_least = (h.a.word & AT_LEAST) != 0;
    }
    if (ev->type == TURN_ENDED) ev->end = (enum turn_end)h.a.word;
    ev->text = slice_of(cut(bytes, h.len), h.len);
    for (unsigned i = 0; i < ev->top_count; i++) {
        uint32_t len;
        memcpy(&ev->tops[i].value, cut(bytes, sizeof(float)), sizeof(float));
        memcpy(&len, cut(bytes, sizeof(len)), sizeof(len));
        ev->tops[i].text = slice_of(cut(bytes, len), len);
    }
    return true;
}
