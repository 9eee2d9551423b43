/* sampler.c -- the next token out of the model's numbers.
 *
 *     logits --biases, penalties--> (grammar) --temperature--> weights --top_k, top_p, min_p--> one by chance
 *                                                 |
 *                                                 +-- 0: the likeliest, no chance
 *
 * The order is OpenAI's: temperature first, so that top_p speaks of the probabilities that are used.  What is said of
 * "tokens before" means those of the answer, not the prompt.
 *
 * Vocabularies have 50,000 to 250,000 tokens, and this runs between two steps, while nothing computes: a pass over
 * all of them is made as seldom as can be, in blocks that the compiler turns into vector code.  Without top_k, top_p
 * and min_p there are two passes: the largest, and the sum of the weights by block, of which one is then walked.  With
 * them, tokens are gathered down to a limit that is lowered until the wanted mass is among them, and only those are
 * sorted.  A weight below e^-30 of the largest counts for nothing.
 *
 * The generator belongs to the choice of an answer: with a seed, the same request says the same, whoever else is in
 * the batch, as far as the model's numbers are the same. */
#include "local/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define LANES 16
#define BLOCK 256 /* tokens whose weights are summed before they are looked at one by one */
#define NOTHING (-30.0f)

/* -- Passes ------------------------------------------------------------------------------- */

static float largest(const float *v, uint32_t n) {
    float lane[LANES], most = -INFINITY;
    for (unsigned j = 0; j < LANES; j++) lane[j] = -INFINITY;
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (unsigned j = 0; j < LANES; j++) lane[j] = v[i + j] > lane[j] ? v[i + j] : lane[j];
    for (; i < n; i++) most = v[i] > most ? v[i] : most;
    for (unsigned j = 0; j < LANES; j++) most = lane[j] > most ? lane[j] : most;
    return most;
}

/* e^x for x in [NOTHING, 0], 0 below; relative error under 2e-6.  Without a branch, so that loops over it become vector
 * code. */
static inline float weight(float x) {
    float inside = x > NOTHING ? x : NOTHING;
    float t = inside * 1.44269504f - 0.5f;
    int32_t k = (int32_t)t; /* towards zero, and t is negative: the nearest whole number */
    float f = (inside * 1.44269504f - (float)k) * 0.693147181f;
    float high = 0.0416666667f + f * (0.00833333333f + f * 0.00138888889f); /* Taylor's, by Horner */
    float p = 1 + f * (1 + f * (0.5f + f * (0.166666667f + f * high)));
    int32_t bits = (k + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof(scale));
    return x > NOTHING ? p * scale : 0;
}

/* Sum of the weights of v[0..n), n at most BLOCK. */
static float block_sum(const float *v, uint32_t n, float most, float by) {
    float lane[LANES] = { 0 }, sum = 0;
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (unsigned j = 0; j < LANES; j++) lane[j] += weight((v[i + j] - most) * by);
    for (; i < n; i++) sum += weight((v[i] - most) * by);
    for (unsigned j = 0; j < LANES; j++) sum += lane[j];
    return sum;
}

static double sum_of(const float *v, uint32_t n, float most, float by) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i += BLOCK) sum += block_sum(v + i, n - i < BLOCK ? n - i : BLOCK, most, by);
    return sum;
}

/* -- Before ---------------------------------------------------------------------------------- */

void sampler_init(struct sampler *s, const struct sampling *how, unsigned choice) {
    *s = (struct sampler){ .s = *how };
    rng_seed(&s->rng, how->seeded ? how->seed * UINT64_C(0x9e3779b97f4a7c15) + choice + 1 : 0);
}

void sampler_deinit(struct sampler *s) {
    mem_free(s->seen);
    s->seen = NULL;
}

static struct sampler_seen *place(struct sampler_seen *table, uint32_t cap, int32_t token) {
    uint32_t i = (uint32_t)token * 2654435761u & (cap - 1);
    while (table[i].times != 0 && table[i].token != token) i = (i + 1) & (cap - 1);
    return &table[i];
}

static bool seen_grow(struct sampler *s) {
    uint32_t cap = s->seen_cap ? s->seen_cap * 2 : 64;
    struct sampler_seen *table = mem_zalloc(cap * sizeof(*table));
    if (table == NULL) return false;
    for (uint32_t i = 0; i < s->seen_cap; i++)
        if (s->seen[i].times != 0) *place(table, cap, s->seen[i].token) = s->seen[i];
    mem_free(s->seen);
    s->seen = table;
    s->seen_cap = cap;
    return true;
}

static bool penalizes(const struct sampling *s) { return s->presence != 0 || s->frequency != 0 || s->repeat != 1; }

bool sampler_note(struct sampler *s, int32_t token) {
    if (!penalizes(&s->s)) return true;
    if (s->seen_len * 2 >= s->seen_cap && !seen_grow(s)) return false;
    struct sampler_seen *p = place(s->seen, s->seen_cap, token);
    s->seen_len += p->times == 0;
    p->token = token;
    p->times++;
    return true;
}

void sampler_adjust(const struct sampler *s, float *logits, uint32_t vocab) {
    for (unsigned i = 0; i < s->s.bias_count; i++)
        if (s->s.biases[i].token >= 0 && (uint32_t)s->s.biases[i].token < vocab)
            logits[s->s.biases[i].token] += s->s.biases[i].by;
    for (uint32_t i = 0; i < s->seen_cap; i++) {
        const struct sampler_seen *p = &s->seen[i];
        if (p->times == 0) continue;
        float *l = &logits[p->token];
        *l = *l > 0 ? *l / s->s.repeat : *l * s->s.repeat;
        *l -= s->s.presence + s->s.frequency * (float)p->times;
    }
}

/* -- Picking ---------------------------------------------------------------------------------- */

static int32_t first_with(const float *v, uint32_t n, float what) {
    for (uint32_t i = 0; i < n; i++)
        if (v[i] == what) return (int32_t)i;
    return -1;
}

/* Of all tokens. */
static int32_t pick_any(struct sampler *s, const float *v, uint32_t n, float most, float by) {
    double rest = rng_double(&s->rng) * sum_of(v, n, most, by);
    int32_t last = -1;
    for (uint32_t i = 0; i < n; i += BLOCK) {
        uint32_t len = n - i < BLOCK ? n - i : BLOCK;
        float sum = block_sum(v + i, len, most, by);
        if (sum > 0 && rest >= sum) last = (int32_t)(i + len - 1);
        if (rest >= sum) {
            rest -= sum;
            continue;
        }
        for (uint32_t j = 0; j < len; j++) {
            float w = weight((v[i + j] - most) * by);
            if (w > 0) last = (int32_t)(i + j);
            if (rest < w) return last;
            rest -= w;
        }
    }
    return last >= 0 ? last : first_with(v, n, most); /* what rounding left over */
}

static int by_weight(const void *a, const void *b) {
    const struct sampler_candidate *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? 1 : -1;
    return x->token < y->token ? -1 : 1;
}

/* Tokens whose (logit - most) * by is at least `down`, unsorted. */
static uint32_t gather(const float *v, uint32_t n, float most, float by, float down, struct sampler_candidate *out) {
    uint32_t len = 0;
    for (uint32_t i = 0; i < n; i++) {
        float x = (v[i] - most) * by;
        if (x >= down) out[len++] = (struct sampler_candidate){ weight(x), (int32_t)i };
    }
    return len;
}

/* As many of the likeliest as top_k, top_p and min_p leave, the likeliest first. */
static uint32_t narrow(const struct sampling *s, const float *v, uint32_t n, float most, float by,
                       struct sampler_candidate *room) {
    double wanted = s->top_p < 1 ? sum_of(v, n, most, by) * s->top_p : INFINITY;
    float floor_ = s->min_p > 0 ? logf(s->min_p) : NOTHING;
    uint32_t len = 0, enough = s->top_k ? s->top_k : UINT32_MAX;
    for (float down = -4;; down *= 2) {
        float to = down > floor_ ? down : floor_;
        len = gather(v, n, most, by, to, room);
        double sum = 0;
        for (uint32_t i = 0; i < len; i++) sum += room[i].weight;
        if (sum >= wanted || len >= enough || to <= floor_ || to <= NOTHING) break;
    }
    qsort(room, len, sizeof(*room), by_weight);
    if (len > enough) len = enough;
    double sum = 0;
    for (uint32_t i = 0; i < len; i++) {
        sum += room[i].weight;
        if (sum >= wanted) return i + 1;
    }
    return len;
}

static int32_t pick_narrow(struct sampler *s, const float *v, uint32_t n, float most, float by,
                           struct sampler_candidate *room) {
    uint32_t len = narrow(&s->s, v, n, most, by, room);
    double sum = 0;
    for (uint32_t i = 0; i < len; i++) sum += room[i].weight;
    double rest = rng_double(&s->rng) * sum;
    for (uint32_t i = 0; i + 1 < len; i++) {
        if (rest < room[i].weight) return room[i].token;
        rest -= room[i].weight;
    }
    return len > 0 ? room[len - 1].token : first_with(v, n, most);
}

int32_t sampler_pick(struct sampler *s, const float *logits, uint32_t vocab, struct sampler_candidate *room) {
    float most = largest(logits, vocab);
    if (!isfinite(most)) return -1;
    float by = s->s.temperature > 0 ? 1 / s->s.temperature : INFINITY;
    if (!isfinite(by) || s->s.top_k == 1) return first_with(logits, vocab, most);
    bool any = s->s.top_k == 0 && s->s.top_p >= 1 && s->s.min_p <= 0;
    return any ? pick_any(s, logits, vocab, most, by) : pick_narrow(s, logits, vocab, most, by, room);
}

/* -- What the model says --------------------------------------------------------------------------- */

float sampler_log_sum(const float *logits, uint32_t vocab) {
    float most = largest(logits, vocab);
    return most + (float)log(sum_of(logits, vocab, most, 1));
}

unsigned sampler_tops(const float *logits, uint32_t vocab, unsigned most, struct sampler_candidate *out) {
    unsigned len = 0;
    if (most == 0) return 0;
    for (uint32_t i = 0; i < vocab; i++) {
        if (len == most && !(logits[i] > out[len - 1].weight)) continue;
        unsigned at = len < most ? len++ : len - 1;
        for (; at > 0 && out[at - 1].weight < logits[i]; at--) out[at] = out[at - 1];
        out[at] = (struct sampler_candidate){ logits[i], (int32_t)i };
    }
    return len;
}
