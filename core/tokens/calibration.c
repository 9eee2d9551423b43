/* calibration.c -- what upstreams report, and what that says of our counts.
 *
 *     counted 812, reported 836  \
 *     counted  95, reported 119   >  offset +24: the provider adds a system prompt
 *     counted 410, reported 434  /
 *
 * Providers put text around a prompt that is the same in every request, and open models
 * have templates of which we know the form but not the first lines.  So the last 16
 * differences per upstream and model are kept, and their median is added.  Where
 * another vocabulary stands in for the model's own, the difference grows with the
 * prompt: then the median of the quotients fits better than that of the differences, and
 * multiplies.  Which of the two it is, is decided by which leaves the smaller error.
 *
 * Medians, because single reports are wrong in many ways (an image that was scaled, a
 * prompt that was cut).  They are taken anew for each of the first 16 samples, then for every
 * fourth.  And not everything is believed: nothing before 4 samples; an offset
 * of -16 to 16384 tokens; a quotient of 0.5 to 2, and only where the vocabulary is not the
 * model's own; a remaining error of at most 5 %.  An upstream that counts words, or always says
 * 1, is not followed.  What is out of date is forgotten after 16 samples.
 *
 * One table for all workers: a provider does not differ between our threads, and each
 * alone would learn slower.  It is asked once per count and once per sampled answer, for
 * some hundred nanoseconds, under one lock.  Lives as long as the gateway: a reload
 * forgets nothing. */
#include "tokens/calibration.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define OFFSET_LEAST (-16.0)
#define OFFSET_MOST  16384.0
#define RATIO_LEAST  0.5
#define RATIO_MOST   2.0
#define ERROR_MOST   0.05 /* of what was reported; or 2 tokens */
#define EVERY        64
#define FIT_EVERY    4    /* samples, when all are known: medians of 16 cost microseconds */

struct row {
    uint64_t hash;
    char     upstream[64], model[CALIBRATION_NAME];
    uint32_t counted[CALIBRATION_SAMPLES], reported[CALIBRATION_SAMPLES];
    uint64_t samples, asked;
    bool     own;
    bool     believed;             /* the following are applied */
    double   offset, ratio, error; /* tokens, tokens per token, tokens */
};

struct calibration {
    pthread_mutex_t lock;
    struct hash_key key;
    struct row      rows[CALIBRATION_MODELS];
    unsigned        count, last; /* the row that was found last: mostly it is asked for again */
};

struct calibration *calibration_new(void) {
    struct calibration *l = mem_zalloc(sizeof(*l));
    if (l == NULL) return NULL;
    hash_key_random(&l->key);
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void calibration_free(struct calibration *l) {
    if (l == NULL) return;
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

/* -- Rows ---------------------------------------------------------------------------- */

static uint64_t hash_of(const struct calibration *l, struct slice upstream, struct slice model) {
    return hash64(&l->key, upstream) * 3 + hash64(&l->key, model);
}

static struct slice clipped(struct slice model) {
    return slice_of(model.ptr, model.len < CALIBRATION_NAME - 1 ? model.len : CALIBRATION_NAME - 1);
}

/* LOCK */
static struct row *find(struct calibration *l, struct slice upstream, struct slice model) {
    struct row *again = &l->rows[l->last];
    if (l->count > 0 && slice_eq(slice_str(again->model), model) && slice_eq(slice_str(again->upstream), upstream))
        return again;
    uint64_t h = hash_of(l, upstream, model);
    for (unsigned i = 0; i < l->count; i++)
        if (l->rows[i].hash == h && slice_eq(slice_str(l->rows[i].model), model)) return &l->rows[l->last = i];
    return NULL;
}

/* LOCK */
static struct row *find_or_make(struct calibration *l, struct slice upstream, struct slice model) {
    struct row *r = find(l, upstream, model);
    if (r != NULL || l->count == CALIBRATION_MODELS) return r;
    r = &l->rows[l->count++];
    *r = (struct row){ .hash = hash_of(l, upstream, model), .ratio = 1 };
    slice_copy(r->upstream, sizeof(r->upstream), upstream);
    slice_copy(r->model, sizeof(r->model), model);
    return r;
}

/* -- Medians -------------------------------------------------------------------------- */

static double median(const double *values, unsigned n) {
    double v[CALIBRATION_SAMPLES];
    for (unsigned i = 0; i < n; i++) {
        unsigned at = i;
        for (; at > 0 && v[at - 1] > values[i]; at--) v[at] = v[at - 1];
        v[at] = values[i];
    }
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static bool between(double v, double least, double most) { return v >= least && v <= most; }

/* The median error that is left with this correction. */
static double error_of(const struct row *r, unsigned n, double offset, double ratio) {
    double e[CALIBRATION_SAMPLES];
    for (unsigned i = 0; i < n; i++) e[i] = fabs(r->reported[i] - (r->counted[i] * ratio + offset));
    return median(e, n);
}

static void fit(struct row *r) {
    unsigned n = r->samples < CALIBRATION_SAMPLES ? (unsigned)r->samples : CALIBRATION_SAMPLES;
    double d[CALIBRATION_SAMPLES], q[CALIBRATION_SAMPLES], said[CALIBRATION_SAMPLES];
    if (n < CALIBRATION_LEAST) return;
    for (unsigned i = 0; i < n; i++) {
        said[i] = r->reported[i];
        d[i] = said[i] - r->counted[i];
        q[i] = said[i] / r->counted[i];
    }
    double offset = round(median(d, n)), ratio = median(q, n);
    bool by_offset = between(offset, OFFSET_LEAST, OFFSET_MOST);
    bool by_ratio = !r->own && between(ratio, RATIO_LEAST, RATIO_MOST);
    if (by_offset && by_ratio) by_offset = error_of(r, n, offset, 1) <= error_of(r, n, 0, ratio);
    r->offset = by_offset ? offset : 0;
    r->ratio = by_ratio && !by_offset ? ratio : 1;
    r->error = error_of(r, n, r->offset, r->ratio);
    r->believed = (by_offset || by_ratio) && r->error <= fmax(2, ERROR_MOST * median(said, n));
    if (!r->believed) {
        r->offset = 0;
        r->ratio = 1;
        r->error = error_of(r, n, 0, 1);
    }
}

/* -- Public ------------------------------------------------------------------------------ */

bool calibration_wants(struct calibration *l, struct slice upstream, struct slice model) {
    if (l == NULL) return false;
    model = clipped(model);
    pthread_mutex_lock(&l->lock);
    struct row *r = find(l, upstream, model);
    bool room = l->count < CALIBRATION_MODELS;
    bool wants = r ? r->samples < CALIBRATION_SAMPLES || r->asked++ % EVERY == 0 : room;
    pthread_mutex_unlock(&l->lock);
    return wants;
}

void calibration_add(struct calibration *l, struct slice upstream, struct slice model, struct calibration_sample s) {
    if (l == NULL || s.counted == 0 || s.reported == 0 || s.counted > UINT32_MAX || s.reported > UINT32_MAX) return;
    model = clipped(model);
    pthread_mutex_lock(&l->lock);
    struct row *r = find_or_make(l, upstream, model);
    if (r != NULL) {
        unsigned at = (unsigned)(r->samples++ % CALIBRATION_SAMPLES);
        r->counted[at] = (uint32_t)s.counted;
        r->reported[at] = (uint32_t)s.reported;
        r->own = s.own;
        if (r->samples <= CALIBRATION_SAMPLES || r->samples % FIT_EVERY == 0) fit(r);
    }
    pthread_mutex_unlock(&l->lock);
}

uint64_t calibration_apply(struct calibration *l, struct slice upstream, struct slice model,
                           uint64_t counted, bool *known) {
    *known = false;
    if (l == NULL) return counted;
    double offset = 0, ratio = 1;
    model = clipped(model);
    pthread_mutex_lock(&l->lock);
    const struct row *r = find(l, upstream, model);
    if (r != NULL && r->believed) {
        offset = r->offset;
        ratio = r->ratio;
        *known = true;
    }
    pthread_mutex_unlock(&l->lock);
    if (!*known) return counted;
    double v = round((double)counted * ratio + offset);
    return v < 0 ? 0 : (uint64_t)v;
}

/* -- Metrics -------------------------------------------------------------------------------- */

/* A label's value: what a client sent may be in it. */
static void put_label(struct buf *out, const char *s) {
    for (; *s != '\0'; s++) {
        if (*s == '\n') buf_puts(out, "\\n");
        else if (*s == '"' || *s == '\\') buf_printf(out, "\\%c", *s);
        else buf_putc(out, *s);
    }
}

static void put_row(struct buf *out, const char *name, const struct row *r, double v) {
    buf_printf(out, "%s{upstream=\"", name);
    put_label(out, r->upstream);
    buf_puts(out, "\",model=\"");
    put_label(out, r->model);
    buf_printf(out, "\"} %.6g\n", v);
}

void calibration_write(struct calibration *l, struct buf *out) {
    static const struct { const char *name, *type, *help; } rows[] = {
        { "perilune_tokens_compared_total", "counter", "Answers whose prompt tokens were compared with our count." },
        { "perilune_tokens_learned_offset", "gauge", "Tokens that are added to a count: the median difference." },
        { "perilune_tokens_learned_ratio", "gauge", "What a count is multiplied with: the median quotient." },
        { "perilune_tokens_learned_error", "gauge", "Tokens by which a corrected count still differs, in the median." },
    };
    pthread_mutex_lock(&l->lock);
    for (int k = 0; k < 4 && l->count > 0; k++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[k].name, rows[k].help, rows[k].name, rows[k].type);
        for (unsigned i = 0; i < l->count; i++) {
            const struct row *r = &l->rows[i];
            const double values[] = { (double)r->samples, r->offset, r->ratio, r->error };
            put_row(out, rows[k].name, r, values[k]);
        }
    }
    pthread_mutex_unlock(&l->lock);
}
