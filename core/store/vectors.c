/* vectors.c -- an index of vectors that machines share.
 *
 *     vectors_find --> driver->search: words --> store --> answer --> driver->read --> keys of entries, with cosines
 *     vectors_add  --> driver->make, once a length of vectors, then driver->add: words --> store
 *
 *     vectors_redis.c    vector sets of Redis 8      the server of the second tier (far.c)
 *     vectors_search.c   RediSearch                  the same
 *     vectors_milvus.c   Milvus                      by its REST interface (request/post.c)
 *
 * What is found are keys of the second tier, whose entries this process then reads and judges as it judges its own
 * (request/widen.c).  So an index may be wrong, old, or lie: it can name what is worth a look, and never give an
 * answer.  A part's name is made with the configured secret (far_key()), as keys are; so of other tenants and
 * other conversations nobody can ask by mistake.
 *
 * Bounded as the second tier is: each question has its deadline, and a store that is slow or dead is not asked.
 * Searches have a connection of their own, so that a search that takes long holds up no look-up behind it; what is
 * told goes by the connection of the entries, behind them, so that no vector is there before its entry.  A
 * server that has no such commands is told so in one line of the log for all threads, and not asked until there is a
 * new connection: perhaps another server, or another version. */
#include "store/vectors.h"

#include <time.h>

#include "base/mem.h"
#include "base/stamp.h"
#include "include/perilune.h"

#define SEND_MS    2000  /* for what nobody waits for */
#define CLEAN_EACH 256   /* vectors that are added */

enum asked { TOLD_MAKE, TOLD_ADD, TOLD_REMOVE, TOLD_CLEAN, SEARCHED };

/* Something that nobody waits for. */
struct told {
    struct store_op op;
    struct vectors *v;
    enum asked      what;
    unsigned        dims;
    struct words    then; /* MAKE: what is asked when it is made */
};

static void count(stats_counter *c) { stats_add(c, 1); }

static void set_up(struct vectors *v, bool up) { atomic_store_explicit(&v->stats.up, up, memory_order_relaxed); }

void vectors_init(struct vectors *v, struct loop *loop, struct log *log, struct vectors_said *said) {
    *v = (struct vectors){ .loop = loop, .log = log, .said = said };
    words_init(&v->words);
}

void vectors_use(struct vectors *v, const struct vectors_driver *driver, struct store *searched, struct store *told,
                 const char *prefix, uint64_t within_ms) {
    v->driver = driver;
    v->searched = searched;
    v->told = told;
    v->prefix = prefix;
    v->within_ms = within_ms;
    v->off = false;
    v->made_count = 0;
    set_up(v, false);
}

void vectors_changed(struct vectors *v, bool up) {
    v->off = false;
    v->made_count = 0;
    set_up(v, up && v->driver != NULL);
    if (up || v->driver == NULL || atomic_exchange(&v->said->cannot, 1) != 0) return;
    log_line(v->log, PERILUNE_LOG_WARN, "cache.index = \"%s\": its connection is lost, or it does not answer in time. "
             "Until it is back, each process finds near questions among its own only", v->driver->name);
}

void vectors_deinit(struct vectors *v) {
    v->driver = NULL;
    words_deinit(&v->words);
}

/* -- What went wrong --------------------------------------------------------------------------- */

static void say_cannot(struct vectors *v, struct slice text) {
    v->off = true;
    set_up(v, false);
    if (atomic_exchange(&v->said->cannot, 1) != 0) return;
    log_line(v->log, PERILUNE_LOG_WARN, "cache.index = \"%s\": the server says \"%.*s\"; it needs %s. Until it is "
             "connected to anew, each process finds near questions among its own only", v->driver->name,
             (int)(text.len < 120 ? text.len : 120), text.ptr, v->driver->needs);
}

static void say_refused(struct vectors *v, enum asked what, struct slice text) {
    if (!refused_begins(&v->said->refused, what, text, loop_now(v->loop))) return;
    log_line(v->log, PERILUNE_LOG_WARN, "cache.index = \"%s\": a question is refused: \"%.*s\"; requests go on "
             "without it", v->driver->name, (int)(text.len < 200 ? text.len : 200), text.ptr);
}

/* Is a's value what was asked for?  Says what it is instead. */
static bool is_good(struct vectors *v, enum asked what, const struct store_answer *a) {
    struct slice text = blob_get(a->value);
    if (v->driver == NULL || (a->rc != 0 && a->rc != PERILUNE_ERR_UPSTREAM)) return false;
    if (a->rc == 0 && v->driver->fault != NULL) text = v->driver->fault(text);
    else if (a->rc == 0) text = SLICE("");
    if (a->rc == 0 && text.len == 0) {
        refused_ends(&v->said->refused, what);
        return true;
    }
    switch (v->driver->error(text)) {
    case VECTORS_FINE: return true;
    case VECTORS_CANNOT: say_cannot(v, text); break;
    case VECTORS_REFUSED: say_refused(v, what, text); break;
    case VECTORS_NOT_MADE: v->made_count = 0; break; /* somebody has emptied the server; the next add makes it */
    }
    return false;
}

/* -- Asking --------------------------------------------------------------------------------------- */

static void fill(struct vectors *v, struct vectors_ask *ask) {
    ask->prefix = v->prefix;
    ask->database = v->database;
    ask->time_ms = stamp_ms(CLOCK_REALTIME);
    words_clear(&v->words);
}

static int begin(struct store *s, struct words *w, struct store_op *op, uint64_t within_ms,
                 void (*done)(struct store_op *op, struct store_answer *a)) {
    struct store_ask ask = { .verb = STORE_WORDS, .words = words_get(w), .word_count = w->count,
                             .within_ms = within_ms };
    return ask.words == NULL ? PERILUNE_ERR_NOMEM : store_begin(s, op, &ask, done);
}

static void on_found(struct store_op *op, struct store_answer *a) {
    struct vectors_question *q = container_of(op, struct vectors_question, op);
    struct vectors *v = q->vectors;
    struct vector_hit hits[VECTORS_MOST];
    unsigned found = 0;
    bool good = is_good(v, SEARCHED, a);
    if (good) {
        found = v->driver->read(blob_get(a->value), hits);
        histogram_record(&v->stats.latency, loop_hrtime_us() - q->began_us);
        atomic_store_explicit(&v->said->cannot, 0, memory_order_relaxed);
    }
    count(!good ? &v->stats.failed : found > 0 ? &v->stats.found : &v->stats.nothing);
    blob_put(a->value);
    q->done(q, hits, found); /* may free q */
}

int vectors_find(struct vectors *v, struct vectors_question *q, struct vectors_ask *ask,
                 void (*done)(struct vectors_question *q, const struct vector_hit *hits, unsigned count)) {
    if (!vectors_is_ready(v)) return PERILUNE_ERR_STATE;
    q->vectors = v;
    q->began_us = loop_hrtime_us();
    q->done = done;
    fill(v, ask);
    v->driver->search(ask, &v->words);
    return begin(v->searched, &v->words, &q->op, v->within_ms, on_found);
}

void vectors_cancel(struct vectors_question *q) { store_cancel(&q->op); }

/* -- Telling ---------------------------------------------------------------------------------------- */

static bool is_made(const struct vectors *v, unsigned dims) {
    if (v->driver->make == NULL) return true;
    for (unsigned i = 0; i < v->made_count; i++)
        if (v->made[i] == dims) return true;
    return false;
}

static void told_free(struct told *t) {
    words_deinit(&t->then);
    mem_free(t);
}

static void on_told(struct store_op *op, struct store_answer *a) {
    struct told *t = container_of(op, struct told, op);
    struct vectors *v = t->v;
    bool good = is_good(v, t->what, a);
    blob_put(a->value);
    if (good && t->what == TOLD_ADD) count(&v->stats.added);
    if (good && t->what == TOLD_REMOVE) count(&v->stats.removed);
    if (good && t->what == TOLD_MAKE) {
        if (!is_made(v, t->dims)) v->made[v->made_count++ % VECTORS_LENGTHS] = t->dims;
        if (v->made_count > VECTORS_LENGTHS) v->made_count = VECTORS_LENGTHS;
        t->what = TOLD_ADD;
        if (begin(v->told, &t->then, &t->op, SEND_MS, on_told) == 0) return;
    }
    told_free(t);
}

static struct told *told_new(struct vectors *v, const struct vectors_ask *ask) {
    struct told *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return NULL;
    t->v = v;
    t->dims = ask->dims;
    words_init(&t->then);
    return t;
}

static void clean(struct vectors *v, struct vectors_ask *ask) {
    struct told *t = told_new(v, ask);
    if (t == NULL) return;
    fill(v, ask);
    t->what = TOLD_CLEAN;
    v->driver->clean(ask, &v->words);
    if (begin(v->told, &v->words, &t->op, SEND_MS, on_told) != 0) told_free(t);
}

void vectors_add(struct vectors *v, struct vectors_ask *ask) {
    struct told *t = vectors_is_ready(v) && ask->key.hex[0] != '\0' ? told_new(v, ask) : NULL;
    if (t == NULL) return;
    fill(v, ask);
    bool made = is_made(v, ask->dims);
    t->what = made ? TOLD_ADD : TOLD_MAKE;
    v->driver->add(ask, made ? &v->words : &t->then);
    if (!made) v->driver->make(ask, &v->words);
    if (begin(v->told, &v->words, &t->op, SEND_MS, on_told) != 0) told_free(t);
    if (!made || v->driver->clean == NULL || ++v->adds < CLEAN_EACH) return;
    v->adds = 0;
    clean(v, ask);
}

void vectors_remove(struct vectors *v, struct vectors_ask *ask) {
    struct told *t = vectors_is_ready(v) ? told_new(v, ask) : NULL;
    if (t == NULL) return;
    fill(v, ask);
    t->what = TOLD_REMOVE;
    v->driver->remove(ask, &v->words);
    if (begin(v->told, &v->words, &t->op, SEND_MS, on_told) != 0) told_free(t);
}
