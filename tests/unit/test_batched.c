/* test_batched.c -- does a real model say, beside others, what it says alone?
 *
 * Needs PERILUNE_LLAMA and PERILUNE_TEST_MODEL; says so without them.  PERILUNE_TEST_ANSWERS: how many (default 12; with
 * 48 or more some are long, so that memory gets short and choices are put back).
 * PERILUNE_TEST_GPU: on GPUs.
 *
 *     resident --seq_copy, seq_cut, step--> [ a copy of every row's tokens; a record of all calls ] --> libllama
 *              <------- logits ------------ [ some of them, each time                             ] <--
 *
 *     again, by the bare engine: the same calls, but half of the questions have other words
 *              the logits of the other half must be the same, bit for bit
 *
 * Requests join and leave at random, share beginnings within a tenant, and are put back for want of memory.  Between
 * the resident and the library stands an engine that passes everything on and keeps a record.
 *
 * Answers are no good for comparing.  A library's sums are added up in the order of its cells, and where two tokens are
 * nearly as likely as each other a last bit decides which is said: of a small model in four bits the logits differ by
 * 0.2, and 0.6 at most, from those of the same row in cells of another order.  That hides what a word of another row
 * would do.  But what a masked cell holds adds nothing at all, so the same calls with other words in the rows beside
 * give the same bits, unless something was seen that should not have been.  Whether this finds anything is tested: in
 * the last run the library gets a token of another row, once a step.
 *
 * Nor are texts any good for telling what was said: "1812 is" ends with the token " is", or with " " and "is", and
 * of these one is likely there and the other one is not.  So tokens are recorded where they are said.  Each text must
 * be one that such tokens make, begun with its own prompt; and the engine, alone, must find each of those tokens as
 * likely as the likeliest, but for the noise.
 *
 * Which requests meet depends on the clock; what is checked does not: a history that fails is printed. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "local/llama.h"
#include "local/resident.h"
#include "local/rows.h"
#include "unit.h"

#define TALKS   12
#define CHOICES 2
#define PROMPT  512
#define SHORT   16  /* tokens of an answer */
#define ANSWER  128 /* at most; longer than what memory is promised for, so some are put back */
#define POOL    48  /* questions */
#define FOURTH  4   /* each fourth one is short */
#define MANY    48  /* answers with which some are long: those take their time */
#define HEADS   6   /* they begin with one of these words; two of these are a tenant's */
#define ROWS    16
#define BATCH   512
#define SMALL   32  /* tokens of a part of a prompt, alone */
#define SKETCH  64  /* logits that are kept of a step */
#define SAIDS   8   /* different tokens that were said behind the same ones */
#define PLACES  (1u << 16)
#define NOISE   1.25f /* twice the largest difference that was measured between logits of the same tokens */

static const struct perilune_engine *const engine = &llama_engine;

static bool is_missing(void) {
    if (getenv("PERILUNE_LLAMA") != NULL && getenv("PERILUNE_TEST_MODEL") != NULL) return false;
    fprintf(stderr, "left out: no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL)\n");
    return true;
}

static struct perilune_engine_options options(unsigned rows) {
    return (struct perilune_engine_options){ .model = getenv("PERILUNE_TEST_MODEL"), .library = getenv("PERILUNE_LLAMA"),
                                             .threads = 1, .context = 4096, .sequences = rows, .batch = 512,
                                             .gpu_layers = getenv("PERILUNE_TEST_GPU") ? -1 : 0 };
}

/* -- What is seen --------------------------------------------------------------------------- */

/* Tokens behind which something was said. */
struct place {
    uint64_t     hash;
    int32_t     *tokens; /* NULL: free */
    uint32_t     len;
    unsigned     said_count;
    int32_t      said[SAIDS];
};

static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;
static struct place places[PLACES]; /* LOCK: a table, open addressing */
static unsigned place_count;        /* LOCK */

static struct place *place_of(const int32_t *tokens, uint32_t len) {
    uint64_t hash = hash_fnv(slice_of((const char *)tokens, len * sizeof(*tokens)));
    struct place *p = &places[hash % PLACES];
    while (p->tokens != NULL &&
           (p->hash != hash || p->len != len || memcmp(p->tokens, tokens, len * sizeof(*tokens)) != 0))
        p = p == &places[PLACES - 1] ? places : p + 1;
    p->hash = hash;
    return p;
}

static void sketch(const float *l, uint32_t vocab, float *out) {
    for (uint32_t i = 0; i < SKETCH; i++) out[i] = l[(uint64_t)vocab * i / SKETCH];
}

static int32_t likeliest(const float *l, uint32_t vocab) {
    int32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (l[i] > l[best]) best = (int32_t)i;
    return best;
}

/* -- What is recorded ------------------------------------------------------------------------- */

enum kind { START, COPY, CUT, STEP };

struct call {
    enum kind kind;
    uint32_t  a, b, n;                /* rows, and how many */
    struct perilune_engine_token *t;  /* of a step */
    uint8_t  *head;                   /* of each: which question begins so */
};

/* Logits behind token i of a step. */
struct seen {
    uint32_t call, i;
    uint8_t  head;
    float    sketch[SKETCH];
};

static struct {
    struct call *calls;
    struct seen *seen;
    uint32_t     call_count, seen_count;
} record;

static int32_t  heads[HEADS]; /* their tokens */
static uint32_t head_at;      /* which one of a prompt's */

static uint8_t head_of(const int32_t *tokens, uint32_t len) {
    uint8_t h = 0;
    while (len > head_at && h < HEADS - 1 && heads[h] != tokens[head_at]) h++;
    return h;
}

static void *more(void *list, uint32_t count, size_t size) {
    return (count & (count - 1)) == 0 ? realloc(list, (count ? count * 2 : 1) * size) : list; /* at powers of two */
}

static struct call *add_call(enum kind kind, uint32_t a, uint32_t b, uint32_t n) {
    record.calls = more(record.calls, record.call_count, sizeof(*record.calls));
    struct call *c = &record.calls[record.call_count++];
    *c = (struct call){ .kind = kind, .a = a, .b = b, .n = n };
    return c;
}

static void record_clear(void) {
    for (uint32_t i = 0; i < record.call_count; i++) {
        free(record.calls[i].t);
        free(record.calls[i].head);
    }
    free(record.calls);
    free(record.seen);
    memset(&record, 0, sizeof(record));
}

/* -- The engine between ---------------------------------------------------------------------- */

static struct {
    struct { int32_t tokens[PROMPT + ANSWER]; uint32_t len; } row[ROWS];
    struct perilune_engine_token batch[BATCH];
    unsigned      wrong;    /* rows that are not as they were told, tokens that are not the likeliest */
    bool          spoils;
    atomic_uint   spoiled;  /* tokens */
    struct place *now;          /* whose logits were taken */
    int32_t       best;         /* of them */
} watch;

static int watch_start(struct perilune_engine_model *m, uint32_t seq) {
    add_call(START, seq, 0, 0);
    watch.row[seq].len = 0;
    return engine->seq_start(m, seq);
}

static int watch_copy(struct perilune_engine_model *m, uint32_t from, uint32_t to, uint32_t n) {
    add_call(COPY, from, to, n);
    watch.wrong += watch.row[to].len != 0 || n > watch.row[from].len;
    memcpy(watch.row[to].tokens, watch.row[from].tokens, n * sizeof(int32_t));
    watch.row[to].len = n;
    return engine->seq_copy(m, from, to, n);
}

static int watch_cut(struct perilune_engine_model *m, uint32_t seq, uint32_t n) {
    add_call(CUT, seq, 0, n);
    watch.wrong += n > watch.row[seq].len;
    watch.row[seq].len = n;
    return engine->seq_cut(m, seq, n);
}

static void record_step(const struct perilune_engine_token *t, size_t count) {
    struct call *c = add_call(STEP, 0, 0, (uint32_t)count);
    c->t = malloc(count * sizeof(*t));
    c->head = malloc(count);
    memcpy(c->t, t, count * sizeof(*t));
    for (size_t i = 0; i < count; i++) {
        uint32_t seq = t[i].seq;
        watch.wrong += t[i].at != watch.row[seq].len;
        watch.row[seq].tokens[watch.row[seq].len++] = t[i].token;
    }
    for (size_t i = 0; i < count; i++) c->head[i] = head_of(watch.row[t[i].seq].tokens, watch.row[t[i].seq].len);
}

/* The library gets a token of another row. */
static void spoil(struct perilune_engine_token *t, size_t count) {
    for (size_t i = 1; i < count; i++) {
        uint32_t seq = t[i].seq;
        bool is_kept = watch.row[seq].len > head_at && head_of(watch.row[seq].tokens, watch.row[seq].len) % 2 == 0;
        if (!is_kept || !t[i].wanted || t[i].token == t[0].token || seq == t[0].seq) continue;
        t[i].token = t[0].token;
        watch.spoiled++;
        return;
    }
}

static int watch_step(struct perilune_engine_model *m, const struct perilune_engine_token *t, size_t count) {
    struct perilune_engine_token sent[BATCH];
    memcpy(watch.batch, t, count * sizeof(*t));
    memcpy(sent, t, count * sizeof(*t));
    if (watch.spoils) spoil(sent, count);
    int rc = engine->step(m, sent, count);
    if (rc == 0) record_step(t, count);
    return rc;
}

static void record_logits(const float *l, uint32_t vocab, size_t i, uint8_t head) {
    record.seen = more(record.seen, record.seen_count, sizeof(*record.seen));
    struct seen *s = &record.seen[record.seen_count++];
    *s = (struct seen){ .call = record.call_count - 1, .i = (uint32_t)i, .head = head };
    sketch(l, vocab, s->sketch);
}

static float *watch_logits(struct perilune_engine_model *m, size_t i) {
    float *l = engine->logits(m, i);
    uint32_t vocab = engine->facts(m)->vocab, seq = watch.batch[i].seq, len = watch.row[seq].len;
    const int32_t *tokens = watch.row[seq].tokens;
    watch.wrong += watch.batch[i].at + 1 != len; /* something stands behind it already */
    watch.best = likeliest(l, vocab);
    record_logits(l, vocab, i, head_of(tokens, len));
    pthread_mutex_lock(&places_lock);
    struct place *p = watch.now = place_of(tokens, len);
    if (p->tokens == NULL) {
        p->tokens = malloc(len * sizeof(*tokens));
        memcpy(p->tokens, tokens, len * sizeof(*tokens));
        p->len = len;
        watch.wrong += ++place_count > PLACES / 2; /* the table is too small */
    }
    pthread_mutex_unlock(&places_lock);
    return l;
}

/* The resident asks this of all tokens while it loads, and of every token that it says. */
static bool watch_is_end(const struct perilune_engine_model *m, int32_t token) {
    struct place *p = watch.now;
    unsigned i = 0;
    if (p == NULL) return engine->is_end(m, token);
    pthread_mutex_lock(&places_lock);
    watch.wrong += token != watch.best;
    while (i < p->said_count && p->said[i] != token) i++;
    if (i == p->said_count && i < SAIDS) p->said[p->said_count++] = token;
    pthread_mutex_unlock(&places_lock);
    return engine->is_end(m, token);
}

static struct perilune_engine watched(void) {
    struct perilune_engine e = *engine;
    e.seq_start = watch_start;
    e.seq_copy = watch_copy;
    e.seq_cut = watch_cut;
    e.step = watch_step;
    e.logits = watch_logits;
    e.is_end = watch_is_end;
    return e;
}

/* -- Alone ------------------------------------------------------------------------------------ */

static struct perilune_engine_model *judge; /* computes rows again */

static void compute(const int32_t *tokens, uint32_t row, uint32_t from, uint32_t n, uint32_t wanted_from) {
    struct perilune_engine_token batch[PROMPT + ANSWER];
    for (uint32_t i = 0; i < n; i++)
        batch[i] = (struct perilune_engine_token){ tokens[from + i], row, from + i, from + i >= wanted_from };
    CHECK_INT(engine->step(judge, batch, n), 0);
}

/* Computes all of a row, in parts. */
static void compute_row(const int32_t *tokens, uint32_t row, uint32_t n, uint32_t part) {
    CHECK_INT(engine->seq_start(judge, row), 0);
    for (uint32_t at = 0; at < n; at += part) compute(tokens, row, at, part < n - at ? part : n - at, n - 1);
}

static const float *last_logits(uint32_t n, uint32_t part) {
    const float *l = engine->logits(judge, (n - 1) % part);
    CHECK(l != NULL);
    return l;
}

static uint32_t text_tokens(const char *text, int32_t *out) {
    int64_t n = engine->tokenize(judge, text, strlen(text), PERILUNE_ENGINE_BEGIN | PERILUNE_ENGINE_SPECIAL, out, PROMPT);
    CHECK(n > 0 && n <= PROMPT);
    return (uint32_t)n;
}

/* -- Once more, with other words ------------------------------------------------------------------ */

/* Questions with an odd head have other words. */
static int repeat(struct perilune_engine_model *m, const struct call *c) {
    struct perilune_engine_token t[BATCH];
    if (c->kind == START) return engine->seq_start(m, c->a);
    if (c->kind == COPY) return engine->seq_copy(m, c->a, c->b, c->n);
    if (c->kind == CUT) return engine->seq_cut(m, c->a, c->n);
    memcpy(t, c->t, c->n * sizeof(*t));
    for (uint32_t i = 0; i < c->n; i++)
        if (c->head[i] % 2 == 1 && t[i].at >= head_at)
            t[i].token = (int32_t)(((uint32_t)t[i].token * 31 + 1009) % engine->facts(m)->vocab);
    return engine->step(m, t, c->n);
}

/* How many logits of the other questions are compared, and how many of them are not the same. */
static unsigned repeat_all(struct perilune_engine_options o, unsigned *compared) {
    struct perilune_engine_model *m;
    char why[300];
    float again[SKETCH];
    unsigned others = 0;
    uint32_t at = 0;
    *compared = 0;
    CHECK_INT(engine->load(&o, &m, why, sizeof(why)), 0);
    for (uint32_t i = 0; i < record.call_count; i++) {
        CHECK_INT(repeat(m, &record.calls[i]), 0);
        for (; at < record.seen_count && record.seen[at].call == i; at++) {
            const struct seen *s = &record.seen[at];
            if (s->head % 2 == 1) continue;
            sketch(engine->logits(m, s->i), engine->facts(m)->vocab, again);
            ++*compared;
            others += memcmp(again, s->sketch, sizeof(again)) != 0;
        }
    }
    engine->free(m);
    return others;
}

/* -- Questions -------------------------------------------------------------------------------- */

static struct question {
    char     text[1500];
    int32_t  tokens[PROMPT];
    uint32_t prompt;
    unsigned head;
} pool[POOL];

static const char *const head_words[HEADS] = { "Once upon a time", "The river", "A cat", "Seven boats", "In Paris",
                                               "Nobody sings" };

/* Where prompts that begin with these words part. */
static void find_heads(void) {
    int32_t tokens[HEADS][PROMPT];
    for (unsigned h = 0; h < HEADS; h++) text_tokens(head_words[h], tokens[h]);
    for (head_at = 0; head_at < 2 && tokens[0][head_at] == tokens[1][head_at];) head_at++;
    for (unsigned h = 0; h < HEADS; h++) {
        heads[h] = tokens[h][head_at];
        for (unsigned i = 0; i < h; i++) CHECK(heads[i] != heads[h]);
    }
}

/* Words that begin alike as often as not, of very different lengths. */
static void make_prompt(struct rng *rng, struct question *q, unsigned number) {
    static const char *const words[] = { "the", "river", "runs", "a", "cat", "and", "seven", "red", "boats", "near",
                                         "old", "town", "where", "nobody", "sings", "Paris", "is", "not", "far" };
    bool is_short = number % FOURTH == 0;
    size_t n = rng_next(rng) % (is_short ? 4 : rng_next(rng) % 6 == 0 ? 110 : 16) + 1, size = sizeof(q->text), len;
    bool more_alike = rng_next(rng) % 2 == 0 && !is_short;
    q->head = (number + number / FOURTH) % HEADS;
    len = (size_t)snprintf(q->text, size, "%s %s", head_words[q->head], more_alike ? "in a small house in woods. " : "");
    for (size_t i = 0; i < n && len + 16 < size; i++)
        len += (size_t)snprintf(q->text + len, size - len, "%s ", words[rng_next(rng) % 19]);
    q->prompt = text_tokens(q->text, q->tokens);
}

/* -- Beside others ------------------------------------------------------------------------------------ */

static struct desk {
    struct loop loop;
    struct mailbox mail;
    struct resident *resident;
} desk;

static struct asked {
    struct turn *turn; /* NULL: free */
    struct buf   taken, text[CHOICES];
    const struct question *question;
    unsigned     choices;
    uint32_t     most;
    bool         over, failed;
} asked[TALKS];

static void told(void *ud) {
    struct asked *a = ud;
    struct turn_event ev;
    CHECK(turn_take(a->turn, &a->taken));
    struct slice all = buf_get(&a->taken);
    while (turn_next(&all, &ev)) {
        if (ev.type == TURN_TEXT) buf_slice(&a->text[ev.choice], ev.text);
        a->over |= ev.type == TURN_OVER || ev.type == TURN_FAILED;
        a->failed |= ev.type == TURN_FAILED;
    }
    buf_clear(&a->taken);
}

static void ask(struct asked *a, struct rng *rng, unsigned questions, uint32_t least) {
    unsigned which = (unsigned)(rng_next(rng) % questions);
    if (least > SHORT) which -= which % FOURTH; /* several long answers begin, and then memory is short */
    *a = (struct asked){ .question = &pool[which], .most = least + (uint32_t)(rng_next(rng) % SHORT),
                         .choices = rng_next(rng) % 8 == 0 ? CHOICES : 1 };
    struct slice s = slice_str(a->question->text);
    struct turn_ask q = { .kind = TURN_CHAT, .texts = &s, .text_count = 1, .choices = a->choices,
                          .flags = PERILUNE_ENGINE_BEGIN | PERILUNE_ENGINE_SPECIAL, .most = a->most,
                          .sampling = SAMPLING_DEFAULTS };
    q.sampling.temperature = 0;
    q.tenant.low = a->question->head / 2;
    buf_init(&a->taken, 0);
    for (unsigned c = 0; c < CHOICES; c++) buf_init(&a->text[c], 0);
    a->turn = turn_new(desk.resident, &q, &desk.mail, told, a);
    CHECK(a->turn != NULL);
}

static void put_away(struct asked *a) {
    turn_leave(a->turn, desk.resident);
    buf_deinit(&a->taken);
    for (unsigned c = 0; c < CHOICES; c++) buf_deinit(&a->text[c]);
    a->turn = NULL;
}

/* Were tokens said behind these, `left` of them or up to an end, that make the text? */
static bool was_said(int32_t *tokens, uint32_t len, uint32_t left, struct slice text) {
    char piece[512];
    if (left == 0) return text.len == 0;
    const struct place *p = place_of(tokens, len);
    for (unsigned i = 0; p->tokens != NULL && i < p->said_count; i++) {
        size_t n = engine->piece(judge, p->said[i], 0, piece, sizeof(piece));
        if (engine->is_end(judge, p->said[i]) && text.len == 0) return true;
        if (n > text.len || memcmp(piece, text.ptr, n) != 0) continue;
        tokens[len] = p->said[i];
        if (was_said(tokens, len + 1, left - 1, slice_of(text.ptr + n, text.len - n))) return true;
    }
    return false;
}

static void check_texts(const struct asked *a) {
    int32_t tokens[PROMPT + ANSWER];
    CHECK(!a->failed);
    pthread_mutex_lock(&places_lock);
    for (unsigned c = 0; c < a->choices; c++) {
        memcpy(tokens, a->question->tokens, a->question->prompt * sizeof(*tokens));
        NOTE("'%.*s' to '%s'", SLICE_ARG(buf_get(&a->text[c])), a->question->text);
        CHECK(was_said(tokens, a->question->prompt, a->most, buf_get(&a->text[c])));
    }
    pthread_mutex_unlock(&places_lock);
}

static void close_desk(void) {
    for (unsigned i = 0; i < TALKS; i++)
        if (asked[i].turn != NULL) put_away(&asked[i]);
    resident_free(desk.resident);
    mailbox_close(&desk.mail);
    loop_deinit(&desk.loop);
    mailbox_deinit(&desk.mail);
}

static const struct how { const char *name; unsigned part, batch, each, least; bool spoils; } hows[] = {
    { "small steps", 3, 48, 0, 1, false }, { "large steps", 4, 256, 0, 1, false }, { "apart", 4, 128, 512, 1, false },
    { "long answers", 6, 48, 0, 80, false }, { "spoiled", 0, 48, 0, 1, true } };

static void serve(const struct how *how, struct rng *rng, unsigned answers, unsigned questions) {
    for (unsigned done = 0; done < answers || (how->spoils && watch.spoiled < 4);) {
        struct asked *a = &asked[rng_next(rng) % TALKS];
        if (a->turn == NULL) {
            ask(a, rng, questions, how->least);
        } else if (a->over) {
            check_texts(a);
            done += a->choices;
            put_away(a);
        } else if (rng_next(rng) % 4096 == 0) {
            put_away(a);
        }
        uv_run(&desk.loop.uv, UV_RUN_NOWAIT);
        usleep(300); /* the model has the processor */
    }
}

static void run(const struct how *how, unsigned answers, unsigned questions, uint64_t seed) {
    char why[300];
    struct rng rng;
    struct perilune_engine e = watched();
    struct resident_settings s = { .engine = &e, .active = 6, .batch = how->batch, .waiting = 100,
                                   .options = options(0) };
    unsigned compared;
    memset(&watch, 0, sizeof(watch));
    watch.spoils = how->spoils;
    s.options.context = how->each ? 0 : 256; /* less than all of them need: some are put back */
    s.options.context_each = how->each;
    rng_seed(&rng, seed);
    CHECK_INT(loop_init(&desk.loop), 0);
    CHECK_INT(mailbox_open(&desk.mail, &desk.loop, &desk), 0);
    CHECK_INT(resident_new(&desk.resident, &s, why, sizeof(why)), 0);
    s.options.sequences = resident_facts(desk.resident)->sequences;
    s.options.batch = how->batch;
    CHECK(s.options.sequences <= ROWS);
    serve(how, &rng, answers, questions);
    const struct resident_stats *t = resident_stats(desk.resident);
    fprintf(stderr, "%s: %u answers, %u tokens in %u steps, %u of %u of prompts shared, %u left, %u put back", how->name,
            answers, (unsigned)t->said, (unsigned)t->steps, (unsigned)t->cached, (unsigned)t->prompt, (unsigned)t->left,
            (unsigned)t->preempted);
    close_desk();
    unsigned others = repeat_all(s.options, &compared);
    fprintf(stderr, "; with other words beside them %u of %u logits are others\n", others, compared);
    record_clear();
    CHECK_UINT(watch.wrong, 0);
    CHECK(compared > 0 && (how->spoils ? others > 0 : others == 0));
}

/* -- The verdict ---------------------------------------------------------------------------------------- */

static int by_tokens(const void *a, const void *b) {
    const struct place *x = *(struct place *const *)a, *y = *(struct place *const *)b;
    uint32_t n = rows_common(x->tokens, x->len, y->tokens, y->len);
    if (n == x->len || n == y->len) return x->len < y->len ? -1 : x->len > y->len;
    return x->tokens[n] < y->tokens[n] ? -1 : 1;
}

/* How far below the likeliest a said token is at most. */
static float below_at(const struct place *p, const float *l) {
    float below = 0, best = l[likeliest(l, engine->facts(judge)->vocab)];
    for (unsigned i = 0; i < p->said_count; i++)
        if (best - l[p->said[i]] > below) below = best - l[p->said[i]];
    if (below <= NOISE) return below;
    fprintf(stderr, "%.4f below the likeliest, behind the tokens", (double)below);
    for (uint32_t i = 0; i < p->len; i++) fprintf(stderr, " %d", p->tokens[i]);
    fprintf(stderr, "\n");
    return below;
}

/* Up to `most` histories, alone. */
static void judge_all(uint32_t most) {
    struct place **all = malloc(place_count * sizeof(*all));
    uint32_t k = 0, len = 0, ties = 0;
    const int32_t *row = NULL; /* what the judge's row holds */
    float widest = 0;
    for (unsigned i = 0; i < PLACES; i++)
        if (places[i].tokens != NULL) all[k++] = &places[i];
    qsort(all, k, sizeof(*all), by_tokens);
    if (k > most) k = most;
    for (uint32_t i = 0; i < k; i++) {
        const struct place *p = all[i];
        bool goes_on = row != NULL && rows_common(row, len, p->tokens, p->len) + 1 == p->len;
        CHECK_INT(engine->seq_cut(judge, 0, goes_on ? p->len - 1 : 0), 0);
        if (goes_on) compute(p->tokens, 0, p->len - 1, 1, p->len - 1);
        else compute_row(p->tokens, 0, p->len, SMALL);
        row = p->tokens;
        len = p->len;
        float below = below_at(p, goes_on ? last_logits(1, 1) : last_logits(len, SMALL));
        ties += below > 0;
        if (below > widest) widest = below;
    }
    free(all);
    fprintf(stderr, "%u of %u different histories alone: %u near ties, the widest %.4f (of %.4f)\n", k, place_count, ties,
            (double)widest, (double)NOISE);
    CHECK(widest <= NOISE);
}

TEST_NOFAULT(a_model_says_beside_others_what_it_says_alone) {
    struct perilune_engine_options o = options(2);
    const char *wish = getenv("PERILUNE_TEST_ANSWERS");
    unsigned answers = wish != NULL && atoi(wish) > 7 ? (unsigned)atoi(wish) : 12;
    unsigned questions = answers < POOL ? answers : POOL;
    char why[300];
    struct rng rng;
    if (is_missing()) return;
    CHECK_INT(engine->load(&o, &judge, why, sizeof(why)), 0);
    find_heads();
    rng_seed(&rng, 11);
    for (unsigned i = 0; i < questions; i++) make_prompt(&rng, &pool[i], i);
    for (unsigned i = 0; i < sizeof(hows) / sizeof(*hows); i++) {
        if (hows[i].least > SHORT && answers < MANY) continue;
        if (hows[i].spoils) judge_all(answers < 300 ? answers : 1000); /* before something is said that is wrong */
        run(&hows[i], hows[i].part ? answers / hows[i].part : 2, questions, i + 1);
    }
    engine->free(judge);
}
