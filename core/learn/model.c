/* model.c -- a linear model of prompts, as a file keeps it.
 *
 *     score[k] = shape[k] . features.shape  +  words / sqrt(n) * scale[k] * sum over n n-grams of w[bucket][k]
 *
 *     file: magic(8) version kind bits outputs examples(u32) words(f32)
 *           names       2 or `outputs` times 64 bytes
 *           calibrated  of each output: count(u32), that many scores and values(f32); of a route one more, the ranks
 *           shape       outputs * FEATURES_SHAPE f32
 *           scale       outputs f32
 *           w           (outputs << bits) int8, one bucket's outputs side by side: one look into memory for all
 *           checksum    FNV-1a of all before, u64
 *
 * Weights are floats while they are learned and int8 here: a table of 2^18 fits the second cache of a core, and the
 * error of rounding (half a step of 1/127 of the largest) is far below what a weight is known to.  The largest
 * weights are cut at the quantile that keeps most of the steps for the many.
 *
 * Invariants: what is open was checked as a whole, so that nothing read later can be outside or no number; a model
 * does not change.  Numbers are little-endian on every machine. */
#include "learn/model.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/little.h"
#include "base/mem.h"

#define MAGIC "PERILRN\n"
#define HEAD  (8 + 5 * 4 + 4)

struct model {
    enum model_kind   kind;
    unsigned          bits, outputs, names;
    uint32_t          examples;
    float             words;
    const char       *name;                     /* BORROWS: of the file; each ends with a NUL */
    const signed char *weights;                 /* BORROWS: the same */
    float             shape[MODEL_OUTPUTS * FEATURES_SHAPE], scale[MODEL_OUTPUTS];
    struct calibrated rank;
    struct calibrated value[];
};

/* -- Writing ------------------------------------------------------------------------- */

static unsigned names_of(enum model_kind kind, unsigned outputs) { return kind == MODEL_ROUTE ? 2 : outputs; }

static void put_calibrated(const struct calibrated *c, struct buf *out) {
    little_put_u32(out, c->count);
    for (unsigned i = 0; i < c->count; i++) little_put_f32(out, c->score[i]);
    for (unsigned i = 0; i < c->count; i++) little_put_f32(out, c->value[i]);
}

/* The step of the int8 weights of output k: their largest is cut at four times the root mean square of what is not
 * zero, or a single word would take the digits of all others. */
static float step_of(const struct model_parts *p, unsigned k) {
    double sum = 0, most = 0;
    size_t n = 0, all = (size_t)1 << p->bits;
    for (size_t b = 0; b < all; b++) {
        double w = fabs((double)p->weights[b * p->outputs + k]);
        sum += w * w;
        n += w > 0;
        if (w > most) most = w;
    }
    double cut = n > 0 ? 4 * sqrt(sum / (double)n) : 0;
    return (float)((most < cut ? most : cut) / 127);
}

static void put_weights(const struct model_parts *p, const float *step, struct buf *out) {
    size_t all = (size_t)1 << p->bits;
    char *to = buf_reserve(out, all * p->outputs);
    if (to == NULL) return;
    for (size_t i = 0; i < all * p->outputs; i++) {
        float s = step[i % p->outputs], w = s > 0 ? roundf(p->weights[i] / s) : 0;
        to[i] = (char)(signed char)(w > 127 ? 127 : w < -127 ? -127 : w);
    }
    buf_advance(out, all * p->outputs);
}

void model_write(const struct model_parts *p, struct buf *out) {
    float step[MODEL_OUTPUTS];
    size_t from = buf_len(out);
    buf_puts(out, MAGIC);
    little_put_u32(out, MODEL_VERSION);
    little_put_u32(out, p->kind);
    little_put_u32(out, p->bits);
    little_put_u32(out, p->outputs);
    little_put_u32(out, p->examples);
    little_put_f32(out, p->words);
    for (unsigned i = 0; i < names_of(p->kind, p->outputs); i++) buf_put(out, p->names[i], MODEL_NAME);
    for (unsigned i = 0; i < p->outputs; i++) put_calibrated(&p->value[i], out);
    if (p->kind == MODEL_ROUTE) put_calibrated(p->rank, out);
    for (unsigned i = 0; i < p->outputs * FEATURES_SHAPE; i++) little_put_f32(out, p->shape[i]);
    for (unsigned k = 0; k < p->outputs; k++) little_put_f32(out, step[k] = step_of(p, k));
    put_weights(p, step, out);
    if (buf_failed(out)) return;
    struct slice all = buf_get(out);
    uint64_t sum = hash_fnv(slice_of(all.ptr + from, all.len - from));
    little_put_u32(out, (uint32_t)sum);
    little_put_u32(out, (uint32_t)(sum >> 32));
}

/* -- Reading ---------------------------------------------------------------------------- */

struct reader {
    const char *at, *end;
    bool        bad;
};

static const char *take(struct reader *r, size_t n) {
    if ((size_t)(r->end - r->at) < n) r->bad = true;
    if (r->bad) return NULL;
    r->at += n;
    return r->at - n;
}

static float take_f32(struct reader *r) {
    const char *p = take(r, 4);
    float f = p != NULL ? little_f32(p) : 0;
    if (!isfinite(f)) r->bad = true;
    return f;
}

static void take_calibrated(struct reader *r, struct calibrated *c) {
    const char *p = take(r, 4);
    c->count = p != NULL ? little_u32(p) : 0;
    if (c->count > CALIBRATED_KNOTS) r->bad = true;
    for (unsigned i = 0; !r->bad && i < c->count; i++) c->score[i] = take_f32(r);
    for (unsigned i = 0; !r->bad && i < c->count; i++) c->value[i] = take_f32(r);
    if (!r->bad && !calibrated_is_sound(c)) r->bad = true;
}

static int refuse(struct failure *f, const char *what) {
    failure_set(f, FAILURE_INVALID_REQUEST, "%s", what);
    return PERILUNE_ERR_INVAL;
}

static int check_head(struct slice b, struct failure *f) {
    if (b.len < HEAD + 8 || memcmp(b.ptr, MAGIC, 8) != 0)
        return refuse(f, "is no model of `perilune train`");
    unsigned version = little_u32(b.ptr + 8);
    if (version != MODEL_VERSION) {
        failure_set(f, FAILURE_INVALID_REQUEST, "is a model of version %u, this program reads version %d: run "
                    "`perilune train` again", version, MODEL_VERSION);
        return PERILUNE_ERR_INVAL;
    }
    uint64_t sum = little_u32(b.ptr + b.len - 8) | (uint64_t)little_u32(b.ptr + b.len - 4) << 32;
    if (sum != hash_fnv(slice_of(b.ptr, b.len - 8)))
        return refuse(f, "is damaged: its checksum is another one; copy it again, or run `perilune train` again");
    return 0;
}

static void read_parts(struct model *m, struct reader *r) {
    m->name = take(r, (size_t)m->names * MODEL_NAME);
    for (unsigned i = 0; !r->bad && i < m->names; i++)
        if (memchr(m->name + (size_t)i * MODEL_NAME, '\0', MODEL_NAME) == NULL) r->bad = true;
    for (unsigned i = 0; i < m->outputs; i++) take_calibrated(r, &m->value[i]);
    if (m->kind == MODEL_ROUTE) take_calibrated(r, &m->rank);
    for (unsigned i = 0; i < m->outputs * FEATURES_SHAPE; i++) m->shape[i] = take_f32(r);
    for (unsigned i = 0; i < m->outputs; i++) m->scale[i] = take_f32(r);
    m->weights = (const signed char *)take(r, (size_t)m->outputs << m->bits);
    if (r->at != r->end) r->bad = true;
}

int model_open(struct model **out, struct slice b, struct failure *f) {
    *out = NULL;
    int rc = check_head(b, f);
    if (rc != 0) return rc;
    unsigned kind = little_u32(b.ptr + 12), bits = little_u32(b.ptr + 16), outputs = little_u32(b.ptr + 20);
    bool sound = kind == MODEL_ROUTE ? outputs == 1 : kind == MODEL_INTENT && outputs >= 1 && outputs <= MODEL_OUTPUTS;
    if (!sound || bits < 1 || bits > MODEL_BITS) return refuse(f, "is damaged: its head has numbers that cannot be");
    struct model *m = mem_zalloc(sizeof(*m) + outputs * sizeof(m->value[0]));
    if (m == NULL) return PERILUNE_ERR_NOMEM;
    struct reader r = { .at = b.ptr + HEAD, .end = b.ptr + b.len - 8 };
    m->kind = (enum model_kind)kind;
    m->bits = bits;
    m->outputs = outputs;
    m->names = names_of(m->kind, outputs);
    m->examples = little_u32(b.ptr + 24);
    m->words = little_f32(b.ptr + 28);
    read_parts(m, &r);
    if (r.bad || !isfinite(m->words)) {
        mem_free(m);
        return refuse(f, "is damaged: its parts are not as long as they must be");
    }
    *out = m;
    return 0;
}

void model_close(struct model *m) { mem_free(m); }

/* -- Asking -------------------------------------------------------------------------------- */

enum model_kind model_kind(const struct model *m) { return m->kind; }
unsigned model_outputs(const struct model *m) { return m->outputs; }
unsigned model_bits(const struct model *m) { return m->bits; }
float model_words(const struct model *m) { return m->words; }
uint32_t model_examples(const struct model *m) { return m->examples; }

const char *model_name(const struct model *m, unsigned i) {
    return i < m->names ? m->name + (size_t)i * MODEL_NAME : "";
}

static float shape_score(const struct model *m, const struct features *f, unsigned k) {
    float sum = 0;
    for (unsigned i = 0; i < FEATURES_SHAPE; i++) sum += m->shape[k * FEATURES_SHAPE + i] * f->shape[i];
    return sum;
}

static void sum_words(const struct model *m, const struct features *f, int32_t *sums) {
    unsigned shift = 32 - m->bits, outputs = m->outputs;
    if (outputs == 1) {
        int32_t sum = 0;
        for (unsigned i = 0; i < f->count; i++) sum += m->weights[f->hashes[i] >> shift];
        sums[0] = sum;
        return;
    }
    for (unsigned i = 0; i < f->count; i++) {
        const signed char *w = m->weights + (size_t)(f->hashes[i] >> shift) * outputs;
        for (unsigned k = 0; k < outputs; k++) sums[k] += w[k];
    }
}

void model_scores(const struct model *m, const struct features *f, float *out) {
    int32_t sums[MODEL_OUTPUTS] = { 0 };
    float each = f->count > 0 ? m->words / sqrtf((float)f->count) : 0;
    if (each != 0) sum_words(m, f, sums);
    for (unsigned k = 0; k < m->outputs; k++)
        out[k] = shape_score(m, f, k) + each * m->scale[k] * (float)sums[k];
}

float model_value(const struct model *m, unsigned output, float score) {
    return calibrated_value(&m->value[output], score);
}

void model_calibration(const struct model *m, unsigned output, struct calibrated *out) { *out = m->value[output]; }

float model_rank(const struct model *m, float score) { return calibrated_value(&m->rank, score); }

void model_unpack(const struct model *m, float *weights, float *shape) {
    size_t n = (size_t)m->outputs << m->bits;
    for (size_t i = 0; i < n; i++) weights[i] = m->scale[i % m->outputs] * (float)m->weights[i];
    memcpy(shape, m->shape, m->outputs * FEATURES_SHAPE * sizeof(float));
}
