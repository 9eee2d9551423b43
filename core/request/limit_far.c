/* limit_far.c -- limits that machines share, in Redis.
 *
 *     PREFIXl:NAME KEY    a hash: u0 ... u14 used, a0 ... a14 as of when (or of which day), h1 h2 s what is reserved
 *     PREFIXl:NAME KEY:L  a sorted set of leases, by when they end: "ID:TOKENS:USD:SLOTS"
 *
 * A decision is one script, which takes from all meters or from none, as limit.c does for one process: leases that have
 * ended go back first, then what has flowed away is gone, then all meters are looked at.  A lease is what a
 * request has reserved; who settles it says so by its name, and a machine that dies in between has leaked nothing when
 * it has ended.  Time is the server's; which day it is, the gateway says, and only a later one than before counts.
 *
 *     ASKED --EVALSHA--> answered -----------------------------> taken, refused
 *        |                  +-- NOSCRIPT --> EVAL --> answered --^
 *        +-- late, lost, no connection --> done(error): who asked decides alone, with what it knows of the last answer
 *
 * An ask that was given up, and was decided all the same, is undone by who gave it up: it knows the lease's name.  That
 * it ended is told without waiting.  What Redis did not take, because it is away or stands still, is told again until
 * the lease has ended by itself; what may have been taken is told so that it counts only while its lease is there.  Of
 * more than UNTOLD the lease ends by itself, and what was used is missing from the count.
 *
 * Numbers that are added up over and over (what is reserved) are whole ones; what is used may be a fraction. */
#include "request/limit_far.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "sched/limit_script.h"

#define TELL_MS  2000 /* for what nobody waits for */
#define AGAIN_MS 500  /* from a try that failed to the next */
#define UNTOLD   4096 /* ends that wait for Redis, of a thread */
#define MEMBER  112

struct far_hold {
    struct far       *far;
    struct limit_rule rule;
    char              member[MEMBER];
    uint64_t          until_ms;  /* by this machine's clock */
    size_t            key_len;
    char              key[];     /* Redis' */
};

/* -- Questions ----------------------------------------------------------------------------------- */

static void put_double(struct buf *out, double v) { buf_printf(out, "%.17g", v); }

/* ORDER: limit_script.h reads them.  charge: what is used at once; check: what has to fit, or -1. */
static void put_meters(struct words *w, const struct limit_rule *rule, const double charge[LIMIT_KINDS],
                       const double *check) {
    struct buf *out = &w->text;
    for (unsigned which = 0; which < LIMIT_METERS; which++) {
        if ((rule->mask >> which & 1) == 0) continue;
        unsigned kind = which / LIMIT_WINDOWS;
        enum limit_window window = (enum limit_window)(which % LIMIT_WINDOWS);
        unsigned period = window == LIMIT_DAY ? 1 : window == LIMIT_MONTH ? 2 : 0; /* which: its own clock says */
        buf_printf(out, "%u %u ", which, kind);
        put_double(out, rule->most[which]);
        buf_printf(out, " %llu %u ", (unsigned long long)limit_window_ms(window), period);
        put_double(out, charge[kind]);
        buf_putc(out, ' ');
        put_double(out, check != NULL ? check[kind] : -1);
        buf_putc(out, ';');
    }
    words_end(w);
}

struct question {
    const char  *ends, *begins; /* leases; "": none */
    uint64_t     lease_ms;
    const double *charge, *check;
    unsigned     slots;         /* that have to be free */
    bool         undoes;        /* nothing, unless the lease that ends is there */
};

/* key: "PREFIX" "l:..."; its leases stand under "PREFIX" "L:...", which is nobody's key. */
static void put_question(struct words *w, bool whole, const struct far *f, struct slice key,
                         const struct limit_rule *rule, const struct question *q) {
    size_t prefix = strlen(f->settings.prefix);
    words_clear(w);
    words_add(w, whole ? SLICE("EVAL") : SLICE("EVALSHA"));
    words_add(w, whole ? SLICE(LIMIT_SCRIPT) : SLICE(LIMIT_SCRIPT_SHA1));
    words_add(w, SLICE("2"));
    words_add(w, key);
    buf_put(&w->text, key.ptr, prefix);
    buf_putc(&w->text, 'L');
    buf_put(&w->text, key.ptr + prefix + 1, key.len - prefix - 1);
    words_end(w);
    words_add(w, slice_str(q->ends));
    words_add(w, slice_str(q->begins));
    words_number(w, q->lease_ms);
    put_meters(w, rule, q->charge, q->check);
    put_double(&w->text, rule->slots >= 0 && q->slots > 0 ? rule->slots : -1);
    words_end(w);
    words_add(w, q->undoes ? SLICE("1") : SLICE("0"));
}

static int begin(struct far *f, struct store_op *op, struct words *w, uint64_t within_ms,
                 void (*done)(struct store_op *op, struct store_answer *a)) {
    const struct slice *list = words_get(w);
    struct store_ask ask = { .verb = STORE_WORDS, .words = list, .word_count = w->count, .within_ms = within_ms };
    if (list == NULL) return PERILUNE_ERR_NOMEM;
    if (!far_is_ready(f)) return PERILUNE_ERR_AGAIN;
    return store_begin(redis_store(f->redis), op, &ask, done);
}

/* -- Telling, for which nobody waits -------------------------------------------------------------------- */

struct tale {
    struct store_op   op;
    struct far_untold untold; /* on the list while it waits to be told again */
    struct timer      again;
    struct far       *far;
    struct words      words;
    uint64_t          until_ms; /* then the lease has ended */
    bool              whole, undoes;
};

static void tale_free(struct tale *t) {
    words_deinit(&t->words);
    mem_free(t);
}

static bool is_unknown(const struct store_answer *a) {
    return a->rc == PERILUNE_ERR_UPSTREAM && a->value != NULL && slice_starts(blob_get(a->value), SLICE("NOSCRIPT"));
}

/* The same question; whole: with the script in place of its hash; undoes: nothing, unless its lease is there. */
static bool reword(struct words *w, bool whole, bool undoes) {
    struct words all;
    const struct slice *list = words_get(w);
    if (list == NULL) return false;
    words_init(&all);
    words_add(&all, whole ? SLICE("EVAL") : SLICE("EVALSHA"));
    words_add(&all, whole ? SLICE(LIMIT_SCRIPT) : SLICE(LIMIT_SCRIPT_SHA1));
    for (unsigned i = 2; i + 1 < w->count; i++) words_add(&all, list[i]);
    words_add(&all, undoes ? SLICE("1") : SLICE("0"));
    words_deinit(w);
    *w = all;
    return !buf_failed(&w->text);
}

static void tale_begin(struct tale *t);

static void untold_leave(struct tale *t) {
    timer_stop(t->far->loop, &t->again);
    list_remove(&t->untold.link);
    t->far->untold_count--;
}

static void untold_drop(struct far_untold *u) {
    struct tale *t = container_of(u, struct tale, untold);
    untold_leave(t);
    tale_free(t);
}

static void on_again(struct timer *timer) {
    struct tale *t = container_of(timer, struct tale, again);
    untold_leave(t);
    tale_begin(t);
}

/* Redis was not there, or said nothing. */
static void tell_again(struct tale *t) {
    struct far *f = t->far;
    bool may = f->untold_count < UNTOLD && loop_now(f->loop) + AGAIN_MS < t->until_ms;
    if (!may || timer_start(f->loop, &t->again, AGAIN_MS, on_again) != 0) {
        tale_free(t);
        return;
    }
    t->untold.drop = untold_drop;
    list_append(&f->untold, &t->untold.link);
    f->untold_count++;
}

static void on_told(struct store_op *op, struct store_answer *a) {
    struct tale *t = container_of(op, struct tale, op);
    bool unknown = is_unknown(a) && !t->whole, late = a->rc != 0 && a->rc != PERILUNE_ERR_UPSTREAM;
    blob_put(a->value);
    if (!unknown && !late) {
        tale_free(t);
        return;
    }
    t->whole = t->whole || unknown;
    t->undoes = t->undoes || late; /* it may have come there */
    if (!reword(&t->words, t->whole, t->undoes)) tale_free(t);
    else if (unknown) tale_begin(t);
    else tell_again(t);
}

static void tale_begin(struct tale *t) {
    if (begin(t->far, &t->op, &t->words, TELL_MS, on_told) != 0) tell_again(t);
}

static void tell(struct far *f, struct slice key, const struct limit_rule *rule, const struct question *q,
                 uint64_t until_ms) {
    struct tale *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return;
    t->far = f;
    t->until_ms = until_ms;
    t->undoes = q->undoes;
    words_init(&t->words);
    put_question(&t->words, false, f, key, rule, q);
    tale_begin(t);
}

static void far_hold_free(struct far_hold *h) { mem_free(h); }

void far_hold_end(struct far_hold *h, const double by[LIMIT_KINDS], bool undoes) {
    struct question q = { .ends = h->member, .begins = "", .lease_ms = 1000, .charge = by, .undoes = undoes };
    tell(h->far, slice_of(h->key, h->key_len), &h->rule, &q, h->until_ms);
    far_hold_free(h);
}

/* -- Taking ------------------------------------------------------------------------------------------------ */

static void over(struct far_take *t) {
    words_deinit(&t->words);
    if (t->hold != NULL) far_hold_free(t->hold);
    t->hold = NULL;
}

/* "ok|no, used of each meter in the order of the bits, reserved tokens and USD, slots" */
static bool read_state(struct far_take *t, struct slice text, bool *taken) {
    char line[600];
    if (text.len < 3 || text.len >= sizeof(line)) return false;
    slice_copy(line, sizeof(line), text);
    char *at = line + 2, *end;
    *taken = memcmp(line, "ok", 2) == 0;
    double *const to[] = { &t->state.held[LIMIT_TOKENS], &t->state.held[LIMIT_USD], &t->state.slots };
    for (unsigned which = 0; which < LIMIT_METERS + 3; which++) {
        bool is_meter = which < LIMIT_METERS;
        if (is_meter && (t->hold->rule.mask >> which & 1) == 0) continue;
        double v = strtod(at, &end);
        if (end == at || !isfinite(v) || v < 0) return false;
        *(is_meter ? &t->state.used[which] : to[which - LIMIT_METERS]) = v;
        at = end;
    }
    return true;
}

static void on_decided(struct store_op *op, struct store_answer *a) {
    struct far_take *t = container_of(op, struct far_take, op);
    struct slice text = a->value != NULL ? blob_get(a->value) : SLICE(""), word;
    bool again = is_unknown(a) && !t->whole, taken = false;
    bool good = a->rc == 0 && words_next(&text, &word) && read_state(t, word, &taken);
    blob_put(a->value);
    if (again) {
        t->whole = true;
        bool whole = reword(&t->words, true, false);
        if (whole && begin(t->far, op, &t->words, t->far->settings.timeout_ms, on_decided) == 0) return;
    }
    if (!good) far_take_cancel(t); /* it may have been decided there, after all */
    struct far_hold *hold = taken ? t->hold : NULL;
    if (taken) t->hold = NULL;
    over(t);
    t->hold = hold;
    t->done(t, good ? (taken ? 0 : PERILUNE_ERR_LIMITED) : PERILUNE_ERR_AGAIN); /* may free t */
}

static struct far_hold *hold_new(struct far *f, struct limit_group *g, const struct limit_rule *rule, struct slice key,
                                 const struct limit_ask *ask) {
    struct buf name;
    char id[33];
    buf_init(&name, 0);
    const char *of = limit_group_name(g); /* its length says where it ends: names and keys may have spaces */
    buf_printf(&name, "%sl:%zu:%s ", f->settings.prefix, strlen(of), of);
    buf_slice(&name, key);
    struct far_hold *h = buf_failed(&name) ? NULL : mem_zalloc(sizeof(*h) + buf_len(&name));
    if (h != NULL) {
        *h = (struct far_hold){ .far = f, .rule = *rule, .key_len = buf_len(&name) };
        memcpy(h->key, buf_get(&name).ptr, h->key_len);
        rng_hex128(&f->loop->rng, id);
        snprintf(h->member, sizeof(h->member), "%s:%.0f:%.0f:%u", id, ask->amount[LIMIT_TOKENS], ask->amount[LIMIT_USD],
                 ask->slots);
    }
    buf_deinit(&name);
    return h;
}

int far_take_begin(struct far *f, struct far_take *t, struct limit_group *g, const struct limit_rule *rule,
                   struct slice key, const struct limit_ask *ask, uint64_t lease_ms,
                   void (*done)(struct far_take *t, int rc)) {
    if (!far_is_ready(f)) return PERILUNE_ERR_AGAIN;
    t->far = f;
    t->ask = *ask;
    t->done = done;
    t->hold = hold_new(f, g, rule, key, ask);
    if (t->hold == NULL) return PERILUNE_ERR_NOMEM;
    t->hold->until_ms = loop_now(f->loop) + lease_ms;
    const double charge[LIMIT_KINDS] = { ask->amount[LIMIT_REQUESTS], 0, 0 };
    struct question q = { .ends = "", .begins = t->hold->member, .lease_ms = lease_ms, .charge = charge,
                          .check = ask->amount, .slots = ask->slots };
    words_init(&t->words);
    put_question(&t->words, false, f, slice_of(t->hold->key, t->hold->key_len), rule, &q);
    int rc = begin(f, &t->op, &t->words, f->settings.timeout_ms, on_decided);
    if (rc != 0) over(t);
    return rc;
}

void far_take_cancel(struct far_take *t) {
    const double by[LIMIT_KINDS] = { -t->ask.amount[LIMIT_REQUESTS], 0, 0 };
    store_cancel(&t->op);
    if (t->hold == NULL) return;
    struct far_hold *h = t->hold;
    t->hold = NULL;
    words_deinit(&t->words);
    /* Questions are answered in their order: this one comes behind the one that is given up. */
    struct question q = { .ends = h->member, .begins = "", .lease_ms = 1, .charge = by, .undoes = true };
    tell(h->far, slice_of(h->key, h->key_len), &h->rule, &q, h->until_ms);
    far_hold_free(h);
}
