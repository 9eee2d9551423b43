/* pair_train.c -- from pairs with an answer to a pair model.
 *
 *     texts --> how rare their words are --> features of each pair
 *
 *                 learned by                               judges
 *     stage 1     head, differences: all pairs but a part  that part: an opinion of its own on pairs it has not seen
 *     stage 2     trees: all pairs, with these opinions    pairs that neither has seen
 *
 * What the trees get to see of stage 1 must be as good as it will be later, on new pairs: an opinion on pairs that
 * stage 1 has learned by heart would be trusted too much.  So there are PARTS of them for training the trees, and
 * one more of all pairs, which goes into the model.
 *
 * Around all this stands the same once more, for the curve: PAIR_FOLDS times all of it is done without a fold.
 *
 * Questions stand in several pairs, and the one who has learned that A asks the same as B, and B as C, would be
 * asked about A and C.  So pairs that are connected by their questions are kept together, both in folds and in
 * parts: sets are joined (union-find) by a hash of the texts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "semantic/pair_model.h"

#define PARTS       4
#define HEAD_C      3e-4
#define LEAST_PAIRS 20 /* of each kind */
#define BASE_TEXTS  2000.0 /* what rarities of a base count for */

struct training {
    const struct pair_example  *examples;
    const struct pair_training *how;
    size_t    count;
    unsigned  head_dims; /* 0: no vectors */
    uint32_t *group;     /* of each pair: a number for all that are connected */
    float    *x, *y;     /* count * PAIR_FEATURES, count */
    struct difference_row *rows;
    uint32_t *hashes;    /* that the rows point into */
    const float **us, **vs;
    uint8_t  *rarity;
    uint32_t  texts;
};

static void tell(const struct training *t, const char *what, size_t done, size_t of) {
    if (t->how->progress != NULL) t->how->progress(t->how->ud, what, (unsigned)done, (unsigned)of);
}

/* -- Which pairs are connected ------------------------------------------------------------------ */

struct name {
    uint64_t hash;
    uint32_t index; /* 2 * pair, + 1: its b */
};

static int by_hash(const void *a, const void *b) {
    const struct name *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static uint32_t root_of(uint32_t *parent, uint32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

static struct slice text_at(const struct training *t, uint32_t index) {
    const struct pair_example *e = &t->examples[index / 2];
    return index % 2 == 0 ? e->a->normal : e->b->normal;
}

/* Of what is written, without punctuation and spaces. */
static uint64_t hash_of_text(struct slice text) {
    static const struct hash_key key = { 1, 2 };
    struct atom atoms[ATOMS_MAX];
    uint32_t hashes[ATOMS_MAX];
    unsigned n = atoms_read(text, atoms, ATOMS_MAX);
    for (unsigned i = 0; i < n; i++) hashes[i] = atoms[i].hash;
    return hash64(&key, n > 0 && n < ATOMS_MAX ? slice_of((const char *)hashes, n * sizeof(*hashes)) : text);
}

/* names: two for each pair, sorted, so that equal texts are neighbours. */
static struct name *sorted_names(const struct training *t) {
    struct name *names = mem_alloc(2 * t->count * sizeof(*names));
    if (names == NULL) return NULL;
    for (uint32_t i = 0; i < 2 * t->count; i++) names[i] = (struct name){ hash_of_text(text_at(t, i)), i };
    qsort(names, 2 * t->count, sizeof(*names), by_hash);
    return names;
}

static void connect(struct training *t, const struct name *names) {
    for (uint32_t i = 0; i < t->count; i++) t->group[i] = i;
    for (size_t i = 1; i < 2 * t->count; i++) {
        if (names[i].hash != names[i - 1].hash) continue;
        uint32_t a = root_of(t->group, names[i - 1].index / 2), b = root_of(t->group, names[i].index / 2);
        if (a != b) t->group[a > b ? a : b] = a > b ? b : a;
    }
    for (uint32_t i = 0; i < t->count; i++) t->group[i] = root_of(t->group, i);
}

static unsigned part_of(const struct training *t, size_t i, unsigned parts, uint32_t salt) {
    return atom_mix(t->group[i], salt) / 2 % parts;
}

/* -- How rare words are -------------------------------------------------------------------------- */

static void count_text(struct slice text, uint32_t *seen, uint32_t *last, uint32_t number) {
    struct atom atoms[ATOMS_MAX];
    unsigned n = atoms_read(text, atoms, ATOMS_MAX);
    for (unsigned i = 0; i < 2 * n; i++) {
        const struct atom *a = &atoms[i / 2];
        uint32_t hash = i % 2 == 0 ? a->hash : a->means;
        unsigned cell = pair_rarity_cell(hash);
        if (hash == 0 || last[cell] == number) continue; /* once a text */
        last[cell] = number;
        seen[cell]++;
    }
}

static int learn_rarity(struct training *t, const struct name *names) {
    unsigned cells = 1u << PAIR_RARITY_BITS;
    uint32_t *seen = mem_zalloc(2 * cells * sizeof(*seen)), texts = 0;
    if (seen == NULL) return PERILUNE_ERR_NOMEM;
    for (size_t i = 0; i < 2 * t->count; i++)
        if (i == 0 || names[i].hash != names[i - 1].hash)
            count_text(text_at(t, names[i].index), seen, seen + cells, ++texts);
    const struct pair_model *base = t->how->base;
    for (unsigned i = 0; i < cells; i++) {
        double known = base != NULL ? BASE_TEXTS * exp(-(double)base->rarity[i] / PAIR_RARITY_UNIT) : 0;
        double all = texts + (base != NULL ? BASE_TEXTS : 0);
        double rarity = log((all + 1) / (seen[i] + known + 0.7)) * PAIR_RARITY_UNIT;
        t->rarity[i] = (uint8_t)(rarity < 0 ? 0 : rarity > 255 ? 255 : rarity + 0.5);
    }
    t->texts = texts;
    mem_free(seen);
    return 0;
}

/* -- Features --------------------------------------------------------------------------------------- */

static void training_deinit(struct training *t) {
    mem_free(t->group);
    mem_free(t->x);
    mem_free(t->y);
    mem_free(t->rows);
    mem_free(t->hashes);
    mem_free(t->us);
    mem_free(t->vs);
    mem_free(t->rarity);
}

static int allocate(struct training *t) {
    t->group = mem_alloc(t->count * sizeof(*t->group));
    t->x = mem_alloc(t->count * PAIR_FEATURES * sizeof(*t->x));
    t->y = mem_alloc(t->count * sizeof(*t->y));
    t->rows = mem_zalloc(t->count * sizeof(*t->rows));
    t->us = mem_zalloc(t->count * sizeof(*t->us));
    t->vs = mem_zalloc(t->count * sizeof(*t->vs));
    t->rarity = mem_zalloc(1u << PAIR_RARITY_BITS);
    return t->group != NULL && t->x != NULL && t->y != NULL && t->rows != NULL && t->us != NULL &&
           t->vs != NULL && t->rarity != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

/* The logarithm of the odds that the words in common alone would give. */
static float plain_opinion(const float *x) { return 8 * (x[PAIR_MEANS_RARE_SHARED] - 0.6f); }

static int read_features(struct training *t) {
    struct buf hashes;
    buf_init(&hashes, 0);
    for (size_t i = 0; i < t->count; i++) {
        const struct pair_example *e = &t->examples[i];
        struct pair_features f;
        pair_features(e->a, e->b, t->rarity, &f);
        t->us[i] = pair_vector(t->how->dims, e->a, e->va);
        t->vs[i] = pair_vector(t->how->dims, e->b, e->vb);
        if (t->how->dims > 0) f.x[PAIR_VECTORS] = pair_cosine(e->va, e->vb, t->how->dims);
        memcpy(t->x + i * PAIR_FEATURES, f.x, sizeof(f.x));
        t->y[i] = e->same;
        t->rows[i] = (struct difference_row){ NULL, f.difference_count, e->same, plain_opinion(f.x) };
        buf_put(&hashes, f.differences, f.difference_count * sizeof(*f.differences));
        if (i % 1000 == 999) tell(t, "comparing the pairs", i + 1, t->count);
    }
    size_t len, at = 0;
    int rc = buf_failed(&hashes) ? PERILUNE_ERR_NOMEM : 0;
    t->hashes = (uint32_t *)(void *)buf_take(&hashes, &len);
    for (size_t i = 0; rc == 0 && i < t->count; i++) {
        t->rows[i].hashes = t->hashes + at;
        at += t->rows[i].count;
    }
    buf_deinit(&hashes);
    return rc;
}

/* -- Stages --------------------------------------------------------------------------------------------- */

/* Some of the pairs, by their numbers, and what a stage wants of them, side by side. */
struct some {
    uint32_t *index;
    size_t    count, room;
    const float **us, **vs;
    float    *y, *x;
    struct difference_row *rows;
};

static void some_deinit(struct some *s) {
    mem_free(s->index);
    mem_free(s->us);
    mem_free(s->vs);
    mem_free(s->y);
    mem_free(s->x);
    mem_free(s->rows);
}

static int some_init(struct some *s, size_t room) {
    *s = (struct some){ .room = room };
    s->index = mem_alloc(room * sizeof(*s->index));
    s->us = mem_alloc(room * sizeof(*s->us));
    s->vs = mem_alloc(room * sizeof(*s->vs));
    s->y = mem_alloc(room * sizeof(*s->y));
    s->x = mem_alloc(room * PAIR_FEATURES * sizeof(*s->x));
    s->rows = mem_alloc(room * sizeof(*s->rows));
    bool ok = s->index != NULL && s->us != NULL && s->vs != NULL && s->y != NULL && s->x != NULL && s->rows != NULL;
    return ok ? 0 : PERILUNE_ERR_NOMEM;
}

static void some_add(const struct training *t, struct some *s, uint32_t i) {
    size_t n = s->count++;
    s->index[n] = i;
    s->us[n] = t->us[i];
    s->vs[n] = t->vs[i];
    s->y[n] = t->y[i];
    s->rows[n] = t->rows[i];
    memcpy(s->x + n * PAIR_FEATURES, t->x + (size_t)i * PAIR_FEATURES, PAIR_FEATURES * sizeof(float));
}

static int train_first(const struct training *t, const struct some *s, struct pair_stages *out) {
    const struct pair_model *base = t->how->base;
    *out = (struct pair_stages){ 0 };
    out->differences = mem_alloc(sizeof(*out->differences));
    int rc = out->differences != NULL ? 0 : PERILUNE_ERR_NOMEM;
    if (rc == 0)
        rc = differences_train(out->differences, s->rows, s->count, base != NULL ? base->stages.differences : NULL, 7);
    if (rc == 0 && t->head_dims > 0) rc = head_train(&out->head, s->us, s->vs, s->y, s->count, t->head_dims, HEAD_C);
    if (rc != 0) pair_stages_deinit(out);
    return rc;
}

static void judge_first(const struct training *t, const struct pair_stages *s, uint32_t i, float *x) {
    struct pair_features f;
    memcpy(f.x, x, sizeof(f.x));
    f.difference_count = t->rows[i].count;
    memcpy(f.differences, t->rows[i].hashes, f.difference_count * sizeof(*f.differences));
    pair_fill_in(s, t->head_dims > 0 ? t->us[i] : NULL, t->head_dims > 0 ? t->vs[i] : NULL, &f);
    memcpy(x, f.x, sizeof(f.x));
}

static int train_trees(const struct training *t, const struct some *s, struct pair_stages *out) {
    unsigned rounds = t->how->rounds > 0 ? t->how->rounds : s->count < 2000 ? 100 : s->count < 20000 ? 200 : 300;
    struct trees_options o = { .rounds = rounds, .depth = 5, .shrinkage = 0.06, .subsample = 0.7, .columns = 0.5,
                               .l2 = 4, .min_weight = 4, .seed = 11, .monotone = pair_monotone };
    return trees_train(&out->trees, s->x, s->y, NULL, s->count, PAIR_FEATURES, &o);
}

/* All stages, of some pairs; s->x is filled in on the way. */
static int train_stages(const struct training *t, struct some *s, uint32_t salt, struct pair_stages *out) {
    struct some others;
    struct pair_stages first = { 0 };
    *out = (struct pair_stages){ 0 };
    int rc = some_init(&others, s->count);
    for (unsigned part = 0; rc == 0 && part < PARTS; part++) {
        others.count = 0;
        for (size_t i = 0; i < s->count; i++)
            if (part_of(t, s->index[i], PARTS, salt) != part) some_add(t, &others, s->index[i]);
        if (others.count == 0 || others.count == s->count) continue; /* all pairs are connected */
        rc = train_first(t, &others, &first);
        for (size_t i = 0; rc == 0 && i < s->count; i++)
            if (part_of(t, s->index[i], PARTS, salt) == part)
                judge_first(t, &first, s->index[i], s->x + i * PAIR_FEATURES);
        pair_stages_deinit(&first);
    }
    some_deinit(&others);
    if (rc == 0) rc = train_first(t, s, out);
    if (rc == 0) rc = train_trees(t, s, out);
    if (rc != 0) pair_stages_deinit(out);
    return rc;
}

/* What a model says of each pair of a fold that was trained without it. */
static int judge_fold(const struct training *t, unsigned fold, float *scores) {
    struct some others;
    struct pair_stages stages = { 0 };
    int rc = some_init(&others, t->count);
    for (uint32_t i = 0; rc == 0 && i < t->count; i++)
        if (part_of(t, i, PAIR_FOLDS, 1) != fold) some_add(t, &others, i);
    if (rc == 0 && others.count > 0) rc = train_stages(t, &others, 2 + fold, &stages);
    for (uint32_t i = 0; rc == 0 && i < t->count; i++) {
        float x[PAIR_FEATURES];
        if (part_of(t, i, PAIR_FOLDS, 1) != fold) continue;
        scores[i] = 0.5f;
        if (stages.trees == NULL) continue; /* all pairs are connected */
        memcpy(x, t->x + (size_t)i * PAIR_FEATURES, sizeof(x));
        judge_first(t, &stages, i, x);
        scores[i] = 1 / (1 + expf(-trees_predict(stages.trees, x)));
    }
    pair_stages_deinit(&stages);
    some_deinit(&others);
    return rc;
}

/* -- The curve ------------------------------------------------------------------------------------------- */

static int descending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

int pair_curve_of(const float *scores, const struct pair_example *examples, size_t count, struct pair_curve *out) {
    static const float shares[PAIR_CURVE] = { 0,     0.001f, 0.002f, 0.005f, 0.01f, 0.02f, 0.03f,
                                              0.05f, 0.07f,  0.1f,   0.15f,  0.2f,  0.3f,  0.5f };
    float *wrong = mem_alloc(count * sizeof(*wrong) + 1);
    if (wrong == NULL) return PERILUNE_ERR_NOMEM;
    *out = (struct pair_curve){ 0 };
    for (size_t i = 0; i < count; i++)
        if (examples[i].same < 0.5f) wrong[out->different++] = scores[i];
        else out->same++;
    qsort(wrong, out->different, sizeof(*wrong), descending);
    for (unsigned k = 0; k < PAIR_CURVE; k++) {
        size_t at = (size_t)((double)shares[k] * out->different + 1e-6), found = 0;
        float threshold = at < out->different ? nextafterf(wrong[at], 2) : 0;
        for (size_t i = 0; i < count; i++) found += examples[i].same >= 0.5f && scores[i] >= threshold;
        float part = out->same > 0 ? (float)found / (float)out->same : 0;
        out->points[k] = (struct pair_point){ shares[k], part, threshold };
    }
    mem_free(wrong);
    return 0;
}

int pair_model_recalibrate(struct pair_model **out, const struct pair_model *m, const float *scores,
                           const struct pair_example *examples, size_t count) {
    struct buf bytes;
    struct pair_curve curve;
    struct failure f;
    *out = NULL;
    int rc = pair_curve_of(scores, examples, count, &curve);
    if (rc != 0) return rc;
    failure_init(&f);
    buf_init(&bytes, 0);
    pair_model_write(m, &bytes);
    rc = buf_failed(&bytes) ? PERILUNE_ERR_NOMEM : pair_model_open(out, buf_get(&bytes), &f);
    if (rc == 0) (*out)->curve = curve;
    buf_deinit(&bytes);
    failure_deinit(&f);
    return rc;
}

/* -- Training ---------------------------------------------------------------------------------------------- */

static int check(const struct pair_example *examples, size_t count, const struct pair_training *how,
                 struct failure *f) {
    size_t same = 0, different = 0;
    for (size_t i = 0; i < count; i++) {
        if (examples[i].same >= 0.5f) same++;
        else different++;
        if (how->dims > 0 && (examples[i].va == NULL || examples[i].vb == NULL)) {
            failure_set(f, FAILURE_INTERNAL, "pair %zu has no vectors", i + 1);
            return PERILUNE_ERR_INVAL;
        }
    }
    if (same >= LEAST_PAIRS && different >= LEAST_PAIRS && count < UINT32_MAX / 2) return 0;
    failure_set(f, FAILURE_INTERNAL, "%zu pairs are the same and %zu are different; at least %d of each are needed",
                same, different, LEAST_PAIRS);
    return PERILUNE_ERR_INVAL;
}

static int prepare(struct training *t) {
    int rc = allocate(t);
    struct name *names = rc == 0 ? sorted_names(t) : NULL;
    if (rc == 0 && names == NULL) rc = PERILUNE_ERR_NOMEM;
    if (rc == 0) {
        connect(t, names);
        rc = learn_rarity(t, names);
    }
    mem_free(names);
    return rc == 0 ? read_features(t) : rc;
}

/* The dims that a head may have: of the vectors, or of the table when all texts are of one. */
static unsigned dims_of(const struct pair_example *examples, size_t count, const struct pair_training *how) {
    if (how->dims > 0) return how->dims;
    const struct static_table *table = count > 0 ? examples[0].a->table : NULL;
    for (size_t i = 0; i < count; i++)
        if (table == NULL || examples[i].a->table != table || examples[i].b->table != table) return 0;
    return count > 0 ? static_table_dims(table) : 0;
}

int pair_model_train(struct pair_model **out, const struct pair_example *examples, size_t count,
                     const struct pair_training *how, float *scores, struct failure *f) {
    *out = NULL;
    int rc = check(examples, count, how, f);
    if (rc != 0) return rc;
    struct training t = { .examples = examples, .how = how, .count = count };
    t.head_dims = dims_of(examples, count, how);
    struct some all = { 0 };
    struct pair_model *m = mem_zalloc(sizeof(*m));
    float *judged = mem_alloc(count * sizeof(*judged));
    if (m == NULL || judged == NULL) rc = PERILUNE_ERR_NOMEM;
    if (rc == 0) rc = prepare(&t);
    for (unsigned fold = 0; rc == 0 && fold < PAIR_FOLDS; fold++) {
        tell(&t, "judging by what the others teach: fold", fold + 1, PAIR_FOLDS);
        rc = judge_fold(&t, fold, judged);
    }
    if (rc == 0) rc = pair_curve_of(judged, examples, count, &m->curve);
    if (rc == 0) rc = some_init(&all, count);
    for (uint32_t i = 0; rc == 0 && i < count; i++) some_add(&t, &all, i);
    tell(&t, "training on all", 1, 1);
    if (rc == 0) rc = train_stages(&t, &all, 9, &m->stages);
    if (rc == 0) {
        memcpy(m->rarity, t.rarity, sizeof(m->rarity));
        m->table = examples[0].a->table != NULL ? static_table_mark(examples[0].a->table) : 0;
        m->texts = t.texts;
        m->dims = how->dims;
        slice_copy(m->embedder, sizeof(m->embedder), slice_str(how->embedder != NULL ? how->embedder : ""));
        if (scores != NULL) memcpy(scores, judged, count * sizeof(*scores));
        *out = m;
    } else {
        pair_model_close(m);
    }
    some_deinit(&all);
    mem_free(judged);
    training_deinit(&t);
    return rc;
}
