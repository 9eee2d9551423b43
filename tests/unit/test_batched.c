/* test_batched.c -- does a real model say, beside others, what it says alone?
 *
 * Needs PERILUNE_LLAMA and PERILUNE_TEST_MODEL; says so without them.  PERILUNE_TEST_ANSWERS: how many (default 60).
 * PERILUNE_TEST_GPU: on GPUs.
 *
 * Answers are greedy, to prompts whose solo answers were made first, by the engine with nothing around it.  Requests
 * join and leave at random, share beginnings within a tenant, and are put back for want of memory.
 *
 * A library's sums depend on how a step is cut and where positions lie: libllama's attention on a processor has kernels
 * of their own for a lone token over a long memory and for 64 tokens or more, and adds up in the order of its cells.  The
 * logits differ by some tenths.  Where two tokens are nearly as likely as each other the other one may then be said, and
 * from there on the answers are two.  That is no contamination.  So an answer that differs is looked at: the engine,
 * alone, computes exactly the tokens that were said, and each must be as likely as the likeliest, but for the noise.
 *
 *     said beside others     p p p p  a b c X y z ...
 *     computed alone         p p p p  a b c ?         logit(X) >= logit(the likeliest) - noise, at each place
 *
 * NOISE is measured first, by the bare library: the same rows in one step, in parts and token by token, alone and with
 * others beside them; twice the largest difference of a logit.  An answer that saw a word of another prompt is far
 * beyond that: the test makes one and must find it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "local/llama.h"
#include "local/resident.h"
#include "unit.h"

#define TALKS  12
#define PROMPT 512
#define ANSWER 16
#define POOL   48 /* prompts */
#define SMALL  32 /* tokens of a part of a prompt, alone */

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

/* -- Alone ------------------------------------------------------------------------------------ */

static struct perilune_engine_model *judge; /* computes rows again */

static void compute(const int32_t *tokens, uint32_t row, uint32_t from, uint32_t n, uint32_t wanted_from) {
    struct perilune_engine_token batch[PROMPT + ANSWER];
    for (uint32_t i = 0; i < n; i++)
        batch[i] = (struct perilune_engine_token){ tokens[from + i], row, from + i, from + i >= wanted_from };
    CHECK_INT(engine->step(judge, batch, n), 0);
}

/* Tokens without a text that end nothing.  Nobody may say them, or a text would not tell what was said. */
static struct sampler_bias silent[SAMPLER_BIASES];
static unsigned silent_count;

static void find_silent(void) {
    char piece[512];
    for (uint32_t t = 0; t < engine->facts(judge)->vocab && silent_count < SAMPLER_BIASES; t++)
        if (engine->piece(judge, (int32_t)t, 0, piece, sizeof(piece)) == 0 && !engine->is_end(judge, (int32_t)t))
            silent[silent_count++] = (struct sampler_bias){ (int32_t)t, -1000 };
}

static int32_t likeliest(const float *l, uint32_t vocab) {
    int32_t best = -1;
    unsigned k = 0; /* they are in order */
    for (uint32_t i = 0; i < vocab; i++) {
        if (k < silent_count && (uint32_t)silent[k].token == i) k++;
        else if (best < 0 || l[i] > l[best]) best = (int32_t)i;
    }
    return best;
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

/* How far below the likeliest the said tokens were, at most. */
static float worst_of(const int32_t *tokens, uint32_t prompt, uint32_t len) {
    uint32_t vocab = engine->facts(judge)->vocab;
    float worst = 0;
    compute_row(tokens, 0, prompt, SMALL);
    const float *l = last_logits(prompt, SMALL);
    for (uint32_t i = prompt; i < len; i++) {
        float below = l[likeliest(l, vocab)] - l[tokens[i]];
        if (below > worst) worst = below;
        if (i + 1 == len) break;
        compute(tokens, 0, i, 1, i);
        l = last_logits(1, 1);
    }
    return worst;
}

/* -- Noise ---------------------------------------------------------------------------------------- */

static uint32_t text_tokens(const char *text, int32_t *out) {
    int64_t n = engine->tokenize(judge, text, strlen(text), PERILUNE_ENGINE_BEGIN | PERILUNE_ENGINE_SPECIAL, out, PROMPT);
    CHECK(n > 0 && n <= PROMPT);
    return (uint32_t)n;
}

/* Rows whose positions stand before those of the row that is looked at; and half of them go. */
static void crowd(const int32_t *tokens, uint32_t n, bool go) {
    for (uint32_t r = 8; r < 15; r++) {
        int32_t row[90];
        if (go && r % 2 == 0) CHECK_INT(engine->seq_start(judge, r), 0);
        for (uint32_t i = 0; i < 90; i++) row[i] = tokens[(i * 5 + r) % n];
        if (!go) compute_row(row, r, 90, SMALL);
    }
}

/* The largest difference of a logit of the last token of a row: alone, in small parts; in parts of this size, others
 * beside it, and places that are not in order. */
static float noise_of(const int32_t *tokens, uint32_t n, unsigned others, uint32_t part) {
    static float once[1 << 20];
    uint32_t vocab = engine->facts(judge)->vocab;
    float worst = 0;
    CHECK(vocab <= sizeof(once) / sizeof(*once));
    compute_row(tokens, 0, n, SMALL);
    memcpy(once, last_logits(n, SMALL), vocab * sizeof(*once));
    for (uint32_t r = 0; r <= others; r++) CHECK_INT(engine->seq_start(judge, r), 0);
    crowd(tokens, n, false);
    for (uint32_t at = 0, len; at < n; at += len) {
        struct perilune_engine_token batch[PROMPT + 64];
        uint32_t k = 0;
        len = part < n - at ? part : n - at;
        if (at <= n / 2 && at + len > n / 2) crowd(tokens, n, true);
        for (uint32_t r = 1; r <= others; r++)
            batch[k++] = (struct perilune_engine_token){ tokens[(at * 7 + r * 13) % n], r, at / part, true };
        for (uint32_t i = 0; i < len; i++)
            batch[k++] = (struct perilune_engine_token){ tokens[at + i], 0, at + i, at + i + 1 == n };
        CHECK_INT(engine->step(judge, batch, k), 0);
        const float *l = at + len == n ? engine->logits(judge, k - 1) : NULL;
        for (uint32_t v = 0; l != NULL && v < vocab; v++)
            if (fabsf(l[v] - once[v]) > worst) worst = fabsf(l[v] - once[v]);
    }
    for (uint32_t r = 0; r < 15; r++) CHECK_INT(engine->seq_start(judge, r), 0);
    return worst;
}

/* -- Beside others ------------------------------------------------------------------------------------ */

static struct desk {
    struct loop loop;
    struct mailbox mail;
    struct resident *resident;
} desk;

static struct asked {
    struct turn *turn; /* NULL: free */
    struct buf   taken, text;
    const struct question *question;
    uint32_t     most;
    bool         over, failed;
} asked[TALKS];

static struct question {
    char     text[1500], answer[ANSWER * 512];
    int32_t  tokens[PROMPT + ANSWER];
    uint32_t prompt, said;
    size_t   ends[ANSWER + 1]; /* of the answer's tokens in its text */
} pool[POOL];

static void told(void *ud) {
    struct asked *a = ud;
    struct turn_event ev;
    CHECK(turn_take(a->turn, &a->taken));
    struct slice all = buf_get(&a->taken);
    while (turn_next(&all, &ev)) {
        if (ev.type == TURN_TEXT) buf_slice(&a->text, ev.text);
        a->over |= ev.type == TURN_OVER || ev.type == TURN_FAILED;
        a->failed |= ev.type == TURN_FAILED;
    }
    buf_clear(&a->taken);
}

static void put_away(struct asked *a) {
    turn_leave(a->turn, desk.resident);
    buf_deinit(&a->taken);
    buf_deinit(&a->text);
    a->turn = NULL;
}

/* Words that begin alike as often as not, of very different lengths. */
static void make_prompt(struct rng *rng, char *out, size_t size) {
    static const char *const words[] = { "the", "river", "runs", "a", "cat", "and", "seven", "red", "boats", "near",
                                         "old", "town", "where", "nobody", "sings", "Paris", "is", "not", "far" };
    size_t n = rng_next(rng) % (rng_next(rng) % 3 == 0 ? 170 : 60) + 1, len = 0;
    if (rng_next(rng) % 2) len = (size_t)snprintf(out, size, "Once upon a time there was a small house in the woods. ");
    for (size_t i = 0; i < n && len + 16 < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s ", words[rng_next(rng) % 19]);
}

/* What the engine says alone. */
static void answer_alone(struct question *q) {
    const struct perilune_engine_facts *f = engine->facts(judge);
    q->prompt = text_tokens(q->text, q->tokens);
    compute_row(q->tokens, 0, q->prompt, SMALL);
    const float *l = last_logits(q->prompt, SMALL);
    CHECK(f->longest <= 512);
    for (q->said = 0; q->said < ANSWER; q->said++) {
        uint32_t n = q->prompt + q->said;
        size_t at = q->ends[q->said];
        q->tokens[n] = likeliest(l, f->vocab);
        if (engine->is_end(judge, q->tokens[n])) break;
        q->ends[q->said + 1] = at + engine->piece(judge, q->tokens[n], 0, q->answer + at, sizeof(q->answer) - at);
        compute(q->tokens, 0, n, 1, n);
        l = last_logits(1, 1);
    }
}

static void ask(struct asked *a, struct rng *rng) {
    a->question = &pool[rng_next(rng) % POOL];
    a->most = (uint32_t)(rng_next(rng) % ANSWER) + 1;
    struct slice s = slice_str(a->question->text);
    struct turn_ask q = { .kind = TURN_CHAT, .texts = &s, .text_count = 1, .choices = 1, .sampling = SAMPLING_DEFAULTS,
                          .flags = PERILUNE_ENGINE_BEGIN | PERILUNE_ENGINE_SPECIAL, .most = a->most };
    q.sampling.temperature = 0;
    q.sampling.biases = silent;
    q.sampling.bias_count = silent_count;
    q.tenant.low = rng_next(rng) % 3;
    a->over = a->failed = false;
    buf_init(&a->taken, 0);
    buf_init(&a->text, 0);
    a->turn = turn_new(desk.resident, &q, &desk.mail, told, a);
    CHECK(a->turn != NULL);
}

/* The tokens that were said, found again: each is the one whose piece comes next and that the engine, alone, likes best
 * of those.  Their number. */
static uint32_t said_tokens(struct slice all, int32_t *tokens, uint32_t prompt) {
    uint32_t vocab = engine->facts(judge)->vocab, n = prompt;
    char piece[512];
    compute_row(tokens, 1, prompt, SMALL);
    const float *l = last_logits(prompt, SMALL);
    for (size_t at = 0; at < all.len && n < prompt + ANSWER; n++) {
        int32_t best = -1;
        size_t best_len = 0;
        for (uint32_t t = 0; t < vocab; t++) {
            if (best >= 0 && l[t] <= l[best]) continue;
            size_t len = engine->piece(judge, (int32_t)t, 0, piece, sizeof(piece));
            if (len == 0 || len > all.len - at || memcmp(piece, all.ptr + at, len) != 0) continue;
            best = (int32_t)t;
            best_len = len;
        }
        CHECK(best >= 0);
        tokens[n] = best;
        at += best_len;
        compute(tokens, 1, n, 1, n);
        l = last_logits(1, 1);
    }
    return n - prompt;
}

/* 0: it is what was said alone.  Else how far it was from that at most. */
static float distance(const struct asked *a, bool *equal) {
    static int32_t tokens[PROMPT + ANSWER];
    const struct question *q = a->question;
    uint32_t said = a->most < q->said ? a->most : q->said;
    struct slice text = buf_get(&a->text);
    *equal = slice_eq(text, slice_of(q->answer, q->ends[said]));
    if (*equal) return 0;
    memcpy(tokens, q->tokens, q->prompt * sizeof(*tokens));
    uint32_t n = said_tokens(text, tokens, q->prompt);
    float below = worst_of(tokens, q->prompt, q->prompt + n);
    NOTE("%.4f below the likeliest: '%.*s', alone: '%.*s'", (double)below, SLICE_ARG(text), (int)q->ends[said], q->answer);
    return below;
}

static unsigned number_of(const char *variable, unsigned otherwise) {
    const char *s = getenv(variable);
    return s != NULL && atoi(s) > 0 ? (unsigned)atoi(s) : otherwise;
}

static void run(const char *name, unsigned answers, unsigned batch, unsigned each, float noise, uint64_t seed) {
    char why[300];
    struct rng rng;
    struct resident_settings s = { .engine = engine, .active = 6, .batch = batch, .waiting = 100, .options = options(0) };
    unsigned done = 0, equal = 0, left = 0;
    float worst = 0;
    s.options.context = each ? 0 : 700; /* less than all of them need: some are put back */
    s.options.context_each = each;
    rng_seed(&rng, seed);
    CHECK_INT(loop_init(&desk.loop), 0);
    CHECK_INT(mailbox_open(&desk.mail, &desk.loop, &desk), 0);
    CHECK_INT(resident_new(&desk.resident, &s, why, sizeof(why)), 0);
    while (done < answers) {
        struct asked *a = &asked[rng_next(&rng) % TALKS];
        bool same;
        if (a->turn == NULL) {
            ask(a, &rng);
        } else if (a->over) {
            CHECK(!a->failed);
            float below = distance(a, &same);
            CHECK(below <= noise);
            if (below > worst) worst = below;
            equal += same;
            done++;
            put_away(a);
        } else if (rng_next(&rng) % 256 == 0) {
            left++;
            put_away(a);
        }
        uv_run(&desk.loop.uv, UV_RUN_NOWAIT);
        usleep(300); /* the model has the processor */
    }
    const struct resident_stats *t = resident_stats(desk.resident);
    fprintf(stderr, "%s: %u answers (%u tokens, %u of %u of prompts shared, %u left, %u put back): %u equal, %u in near "
            "ties, the widest %.4f of %.4f\n", name, done, (unsigned)t->said, (unsigned)t->cached, (unsigned)t->prompt,
            left, (unsigned)t->preempted, equal, done - equal, (double)worst, (double)noise);
    for (unsigned i = 0; i < TALKS; i++)
        if (asked[i].turn != NULL) put_away(&asked[i]);
    resident_free(desk.resident);
    mailbox_close(&desk.mail);
    loop_deinit(&desk.loop);
    mailbox_deinit(&desk.mail);
}

static float wider(float a, float b) { return a > b ? a : b; }

static float measure_noise(void) {
    struct rng rng;
    static struct question q;
    float noise = 0;
    rng_seed(&rng, 7);
    for (unsigned i = 0; i < 8; i++) {
        make_prompt(&rng, q.text, sizeof(q.text));
        uint32_t n = text_tokens(q.text, q.tokens);
        noise = wider(noise, noise_of(q.tokens, n, i, i % 3 == 0 ? PROMPT : i % 3 == 1 ? 1 : 7));
    }
    return noise;
}

/* An answer to a prompt of which one word was another. */
static float contaminated(void) {
    static struct question q, other;
    snprintf(q.text, sizeof(q.text), "The capital of France is");
    snprintf(other.text, sizeof(other.text), "The capital of Italy is");
    answer_alone(&other);
    q.prompt = text_tokens(q.text, q.tokens);
    memcpy(q.tokens + q.prompt, other.tokens + other.prompt, 8 * sizeof(*q.tokens));
    return worst_of(q.tokens, q.prompt, q.prompt + 8);
}

TEST_NOFAULT(a_model_says_beside_others_what_it_says_alone) {
    struct perilune_engine_options o = options(16);
    char why[300];
    struct rng rng;
    if (is_missing()) return;
    CHECK_INT(engine->load(&o, &judge, why, sizeof(why)), 0);
    find_silent();
    float noise = 2 * measure_noise(), other = contaminated();
    fprintf(stderr, "noise of two logits: %.4f; an answer that saw another word: %.4f\n", (double)noise, (double)other);
    CHECK(noise < other);
    rng_seed(&rng, 11);
    for (unsigned i = 0; i < POOL; i++) {
        make_prompt(&rng, pool[i].text, sizeof(pool[i].text));
        answer_alone(&pool[i]);
    }
    unsigned answers = number_of("PERILUNE_TEST_ANSWERS", 60);
    run("small steps", answers, 48, 0, noise, 1);
    run("large steps", answers / 2, 256, 0, noise, 2);
    run("apart", answers / 2, 128, 512, noise, 3);
    engine->free(judge);
}
