/* measure.c -- a model tried out through the engine interface, before anybody relies on it.
 *
 *     tokens of a text:  [ window of 256 ][ window of 256 ] ...   each on an empty row, all tokens of it at once
 *     perplexity = exp( - mean of log p(token i | the tokens in front of it in its window) )
 *
 * The first half of each window is only read, not counted: a token with nothing in front of it says more of the
 * window's edge than of the model.  The number compares two files of one model over the same text; it is not that of
 * papers, whose windows are larger.
 *
 * Thread: that of who calls, who has the model for himself. */
#include "local/measure.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "include/perilune.h"

#define WINDOW    256
#define TEXT      "The quick brown fox jumps over the lazy dog."
#define MAX_TOKENS (1u << 20)

static int fail(char *why, size_t size, int rc, const char *what) {
    snprintf(why, size, "%s", what);
    return rc < 0 ? rc : PERILUNE_ERR_ENGINE;
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool are_finite(const float *v, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i])) return false;
    return true;
}

/* Adds tokens from row position `at` on; of all or the last one what follows is wanted. */
static int put(const struct perilune_engine *e, struct perilune_engine_model *m, const int32_t *tokens, uint32_t n,
               uint32_t at, bool all) {
    struct perilune_engine_token batch[WINDOW];
    for (uint32_t i = 0; i < n; i++)
        batch[i] = (struct perilune_engine_token){ tokens[i], 0, at + i, all || i + 1 == n };
    return e->step(m, batch, n);
}

static int32_t best_of(const float *logits, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

/* -- Does it work? ---------------------------------------------------------------------------- */

static int try_chat(const struct perilune_engine *e, struct perilune_engine_model *m, const int32_t *tokens,
                    uint32_t n, struct measured *out, char *why, size_t size) {
    int rc = e->seq_start(m, 0);
    if (rc == 0) rc = put(e, m, tokens, n, 0, false);
    const float *logits = rc == 0 ? e->logits(m, n - 1) : NULL;
    uint32_t vocab = e->facts(m)->vocab;
    if (logits == NULL) return fail(why, size, rc, "it computes nothing for a short text");
    if (!are_finite(logits, vocab)) return fail(why, size, 0, "what it computes are no numbers (NaN or infinity)");
    size_t len = e->piece(m, best_of(logits, vocab), PERILUNE_ENGINE_SPECIAL, out->piece, sizeof(out->piece) - 1);
    out->piece[len < sizeof(out->piece) ? len : sizeof(out->piece) - 1] = '\0';
    slice_mute(out->piece);
    return 0;
}

static int try_vector(const struct perilune_engine *e, struct perilune_engine_model *m, const int32_t *tokens,
                      uint32_t n, char *why, size_t size) {
    uint32_t width = e->facts(m)->width;
    float *v = mem_alloc((width + 1) * sizeof(*v));
    if (v == NULL) return fail(why, size, PERILUNE_ERR_NOMEM, "out of memory");
    int rc = e->embed(m, tokens, &n, 1, v);
    double length = 0;
    for (uint32_t i = 0; rc == 0 && i < width; i++) length += (double)v[i] * v[i];
    if (rc != 0) rc = fail(why, size, rc, "it makes no vector of a short text");
    else if (!isfinite(length)) rc = fail(why, size, 0, "the numbers of its vectors are none (NaN or infinity)");
    else if (!(length > 0)) rc = fail(why, size, 0, "its vector of a short text is all zero");
    mem_free(v);
    return rc;
}

int measure_works(const struct perilune_engine *e, struct perilune_engine_model *m, struct measured *out, char *why,
                  size_t why_size) {
    int32_t tokens[WINDOW];
    int64_t n = e->tokenize(m, TEXT, sizeof(TEXT) - 1, PERILUNE_ENGINE_BEGIN, tokens, WINDOW);
    uint32_t most = e->facts(m)->batch < WINDOW ? e->facts(m)->batch : WINDOW;
    if (n <= 0 || n > most) return fail(why, why_size, n < 0 ? (int)n : 0, "its vocabulary makes no tokens of a text");
    if (e->facts(m)->kind == PERILUNE_ENGINE_CHAT) return try_chat(e, m, tokens, (uint32_t)n, out, why, why_size);
    return try_vector(e, m, tokens, (uint32_t)n, why, why_size);
}

/* -- How fast? ------------------------------------------------------------------------------------ */

int measure_speed(const struct perilune_engine *e, struct perilune_engine_model *m, unsigned count,
                  struct measured *out, char *why, size_t why_size) {
    int32_t tokens[WINDOW], next;
    const struct perilune_engine_facts *f = e->facts(m);
    int64_t n = e->tokenize(m, TEXT, sizeof(TEXT) - 1, PERILUNE_ENGINE_BEGIN, tokens, WINDOW);
    if (f->kind != PERILUNE_ENGINE_CHAT || n <= 0 || n > WINDOW || n > f->batch || (uint64_t)n + count > f->row)
        return fail(why, why_size, PERILUNE_ERR_INVAL, "it cannot say so much");
    int rc = e->seq_start(m, 0);
    if (rc == 0) rc = put(e, m, tokens, (uint32_t)n, 0, false);
    const float *logits = rc == 0 ? e->logits(m, (size_t)n - 1) : NULL;
    double begun = now_s();
    for (unsigned i = 0; rc == 0 && logits != NULL && i < count; i++) {
        next = best_of(logits, f->vocab);
        rc = put(e, m, &next, 1, (uint32_t)n + i, false);
        logits = rc == 0 ? e->logits(m, 0) : NULL;
    }
    if (logits == NULL) return fail(why, why_size, rc, "it fails while it answers");
    out->tokens_per_s = count / (now_s() - begun);
    return 0;
}

/* -- How well? -------------------------------------------------------------------------------------- */

/* -log of the probability that softmax gives to a token. */
static double surprise(const float *logits, uint32_t n, int32_t token) {
    float most = logits[0];
    double sum = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > most) most = logits[i];
    for (uint32_t i = 0; i < n; i++) sum += exp((double)(logits[i] - most));
    return log(sum) - (double)(logits[token] - most);
}

static int read_window(const struct perilune_engine *e, struct perilune_engine_model *m, const int32_t *tokens,
                       uint32_t n, double *sum, unsigned *counted) {
    int rc = e->seq_start(m, 0);
    if (rc == 0) rc = put(e, m, tokens, n, 0, true);
    for (uint32_t i = n / 2; rc == 0 && i + 1 < n; i++) {
        const float *logits = e->logits(m, i);
        if (logits == NULL) return PERILUNE_ERR_ENGINE;
        *sum += surprise(logits, e->facts(m)->vocab, tokens[i + 1]);
        ++*counted;
    }
    return rc;
}

int measure_perplexity(const struct perilune_engine *e, struct perilune_engine_model *m, struct slice text,
                       unsigned most, struct measured *out, char *why, size_t why_size) {
    const struct perilune_engine_facts *f = e->facts(m);
    uint32_t window = f->batch < WINDOW ? f->batch : WINDOW;
    double sum = 0;
    unsigned counted = 0;
    if (f->row < window) window = f->row;
    if (most > MAX_TOKENS) most = MAX_TOKENS;
    if (f->kind != PERILUNE_ENGINE_CHAT || window < 8)
        return fail(why, why_size, PERILUNE_ERR_INVAL, "it says no next token: it makes vectors, or ranks");
    int64_t n = e->tokenize(m, text.ptr, text.len, 0, NULL, 0); /* an engine may want room for all or fill nothing */
    int32_t *tokens = n >= 0 ? mem_alloc((size_t)n * sizeof(*tokens) + 1) : NULL;
    if (n >= 0 && tokens == NULL) return fail(why, why_size, PERILUNE_ERR_NOMEM, "out of memory");
    if (n > 0 && e->tokenize(m, text.ptr, text.len, 0, tokens, (size_t)n) != n) n = PERILUNE_ERR_ENGINE;
    int rc = n < 0 ? (int)n : 0;
    if (n > most) n = most;
    for (int64_t at = 0; rc == 0 && at + 8 <= n; at += window)
        rc = read_window(e, m, tokens + at, (uint32_t)(n - at < window ? n - at : window), &sum, &counted);
    mem_free(tokens);
    if (rc != 0) return fail(why, why_size, rc, "it fails while it reads the text");
    if (counted == 0) return fail(why, why_size, PERILUNE_ERR_INVAL, "the text is too short: 8 tokens at least");
    out->tokens = counted;
    out->perplexity = exp(sum / counted);
    return 0;
}
