/* pair.c -- do two questions ask the same?
 *
 *     a, b --> features (pair_features.c) ------------------------------+
 *        |        |                                                     |
 *        |        +--> differences (differences.c): what differs says   +--> trees (trees.c) --> score
 *        +--> vectors --> head (head.c): how the vectors differ says ---+
 *
 * A score is how sure the model is, and says nothing by itself: which score is high enough depends on the embedder, on
 * what people ask, and on how dear an error is.  So a model carries a curve: at which score which share of
 * different pairs were taken for the same, of pairs that it had not seen.
 *
 * A model is a file.  One ships (table/pair.model, made as table/README.md says); `perilune cache calibrate` makes
 * others.  Its form, little-endian, each part behind its length as u32:
 *
 *     "PLPAIR1\n" | u64: a checksum of what follows | u32 features
 *     name | dims, table, texts, same, different u32; curve: share, found, threshold f32 each | rarity
 *     head, or nothing | differences: scale f32, weights | trees
 *
 * Texts that are equal have the score 1, whatever a model says. */
#include "semantic/pair.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/little.h"
#include "semantic/pair_model.h"
#include "semantic/semantic.h"

#define MAGIC "PLPAIR1\n"
#define HEAD  20 /* bytes before the parts */

void pair_stages_deinit(struct pair_stages *s) {
    head_free(s->head);
    mem_free(s->differences);
    trees_free(s->trees);
    *s = (struct pair_stages){ 0 };
}

void pair_model_close(struct pair_model *m) {
    if (m == NULL) return;
    pair_stages_deinit(&m->stages);
    mem_free(m);
}

const char *pair_model_embedder(const struct pair_model *m) { return m->embedder; }
unsigned pair_model_dims(const struct pair_model *m) { return m->dims; }
bool pair_model_is_of(const struct pair_model *m, const struct static_table *table) {
    return m->table == static_table_mark(table);
}
const struct pair_curve *pair_model_curve(const struct pair_model *m) { return &m->curve; }

/* -- Judging -------------------------------------------------------------------------------- */

float pair_cosine(const float *a, const float *b, unsigned dims) {
    float ab = 0, aa = 0, bb = 0;
    for (unsigned i = 0; i < dims; i++) {
        ab += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrtf(aa * bb) : 0;
}

const float *pair_vector(unsigned dims, const struct embedded_text *t, const float *v) {
    return dims > 0 ? v : t->meaning;
}

void pair_fill_in(const struct pair_stages *s, const float *va, const float *vb, struct pair_features *f) {
    f->x[PAIR_DIFFERENCES] = differences_score(s->differences, f->differences, f->difference_count,
                                               &f->x[PAIR_DIFFERENCES_WORST]);
    f->x[PAIR_HEAD] = s->head != NULL && va != NULL && vb != NULL ? head_score(s->head, va, vb) : 0;
}

/* May the head look at what there is? */
static bool fits(const struct pair_model *m, const struct embedded_text *a, const struct embedded_text *b,
                 const float *va, const float *vb, unsigned dims) {
    if (m->stages.head == NULL) return false;
    if (m->dims > 0) return va != NULL && vb != NULL && dims == m->dims;
    return a->table != NULL && a->table == b->table && static_table_dims(a->table) == head_dims(m->stages.head);
}

float pair_score(const struct pair_model *m, const struct embedded_text *a, const struct embedded_text *b,
                 const float *va, const float *vb, unsigned dims) {
    if (slice_eq(a->normal, b->normal)) return 1;
    if (a->normal.len > SEMANTIC_MAX_TEXT || b->normal.len > SEMANTIC_MAX_TEXT) return 0;
    struct pair_features f;
    pair_features(a, b, m->rarity, &f);
    if (!f.is_bounded) return 0;
    bool ok = fits(m, a, b, va, vb, dims);
    if (m->dims > 0 && !ok) return 0; /* without what it was trained with it would guess */
    pair_fill_in(&m->stages, ok ? pair_vector(m->dims, a, va) : NULL, ok ? pair_vector(m->dims, b, vb) : NULL, &f);
    if (m->dims > 0) f.x[PAIR_VECTORS] = pair_cosine(va, vb, dims);
    return 1 / (1 + expf(-trees_predict(m->stages.trees, f.x)));
}

float pair_threshold(const struct pair_model *m, double max_false) {
    float threshold = 2;
    for (unsigned i = 0; i < PAIR_CURVE; i++)
        if ((double)m->curve.points[i].share <= max_false + 1e-9) threshold = m->curve.points[i].threshold;
    return threshold;
}

/* -- Writing ---------------------------------------------------------------------------------- */

/* Which bytes belong together, not who made them: the key is no secret. */
static uint64_t checksum(struct slice s) {
    static const struct hash_key key = { 0x7065726C756E6521u, 0x7061697273313233u };
    return hash64(&key, s);
}

/* A part begins: room for its length. */
static size_t begin(struct buf *out) {
    little_put_u32(out, 0);
    return buf_len(out);
}

static void end(struct buf *out, size_t since) {
    if (buf_failed(out)) return;
    uint32_t len = (uint32_t)(buf_len(out) - since);
    unsigned char *p = (unsigned char *)out->data + out->mark + since - 4;
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(len >> 8 * i);
}

static void write_parts(const struct pair_model *m, struct buf *out) {
    little_put_u32(out, PAIR_FEATURES);
    size_t at = begin(out);
    buf_puts(out, m->embedder);
    end(out, at);
    at = begin(out);
    const uint32_t numbers[] = { m->dims, m->table, m->texts, m->curve.same, m->curve.different };
    for (unsigned i = 0; i < 5; i++) little_put_u32(out, numbers[i]);
    for (unsigned i = 0; i < PAIR_CURVE; i++) {
        little_put_f32(out, m->curve.points[i].share);
        little_put_f32(out, m->curve.points[i].found);
        little_put_f32(out, m->curve.points[i].threshold);
    }
    end(out, at);
    at = begin(out);
    buf_put(out, m->rarity, sizeof(m->rarity));
    end(out, at);
    at = begin(out);
    if (m->stages.head != NULL) head_write(m->stages.head, out);
    end(out, at);
    at = begin(out);
    little_put_f32(out, m->stages.differences->scale);
    buf_put(out, m->stages.differences->weights, sizeof(m->stages.differences->weights));
    end(out, at);
    at = begin(out);
    trees_write(m->stages.trees, out);
    end(out, at);
}

void pair_model_write(const struct pair_model *m, struct buf *out) {
    struct buf parts;
    buf_init(&parts, 0);
    write_parts(m, &parts);
    uint64_t sum = checksum(buf_get(&parts));
    buf_puts(out, MAGIC);
    little_put_u32(out, (uint32_t)sum);
    little_put_u32(out, (uint32_t)(sum >> 32));
    buf_slice(out, buf_get(&parts));
    if (buf_failed(&parts) && out->error == 0) out->error = parts.error;
    buf_deinit(&parts);
}

/* -- Reading ------------------------------------------------------------------------------------ */

/* The next part of the bytes, or false: they end before it does. */
static bool next_part(struct slice *rest, struct slice *part) {
    if (rest->len < 4) return false;
    size_t len = little_u32(rest->ptr);
    if (len > rest->len - 4) return false;
    *part = slice_of(rest->ptr + 4, len);
    *rest = slice_of(rest->ptr + 4 + len, rest->len - 4 - len);
    return true;
}

static const char *read_name(struct pair_model *m, struct slice s) {
    if (s.len >= sizeof(m->embedder) || memchr(s.ptr, '\0', s.len) != NULL) return "the embedder's name is none";
    slice_copy(m->embedder, sizeof(m->embedder), s);
    return NULL;
}

static const char *read_numbers(struct pair_model *m, struct slice s) {
    if (s.len != 20 + 12 * PAIR_CURVE) return "the curve has another length";
    m->dims = little_u32(s.ptr);
    m->table = little_u32(s.ptr + 4);
    m->texts = little_u32(s.ptr + 8);
    m->curve.same = little_u32(s.ptr + 12);
    m->curve.different = little_u32(s.ptr + 16);
    float share = 0;
    for (unsigned i = 0; i < PAIR_CURVE; i++) {
        struct pair_point *p = &m->curve.points[i];
        p->share = little_f32(s.ptr + 20 + 12 * i);
        p->found = little_f32(s.ptr + 24 + 12 * i);
        p->threshold = little_f32(s.ptr + 28 + 12 * i);
        if (!(p->share >= share && p->share <= 1 && p->found >= 0 && p->found <= 1 && p->threshold >= 0))
            return "the curve does not ascend";
        share = p->share;
    }
    return m->dims <= HEAD_MAX_DIMS ? NULL : "the dims are out of bounds";
}

static const char *read_differences(struct pair_model *m, struct slice s) {
    if (s.len != 4 + DIFFERENCES_SIZE) return "the differences have another length";
    m->stages.differences->scale = little_f32(s.ptr);
    memcpy(m->stages.differences->weights, s.ptr + 4, DIFFERENCES_SIZE);
    return isfinite(m->stages.differences->scale) ? NULL : "the differences' scale is no number";
}

/* *why stays NULL when memory ended. */
static int read_stages(struct pair_model *m, struct slice *rest, const char **why) {
    struct slice part;
    int rc = PERILUNE_ERR_INVAL;
    *why = "it is cut off";
    if (!next_part(rest, &part)) return rc;
    if (part.len > 0 && (rc = head_read(&m->stages.head, part, why)) != 0) return rc;
    *why = "the head has other dims than the embedder";
    if (m->dims > 0 && (m->stages.head == NULL || head_dims(m->stages.head) != m->dims)) return PERILUNE_ERR_INVAL;
    *why = "it is cut off";
    if (!next_part(rest, &part)) return PERILUNE_ERR_INVAL;
    m->stages.differences = mem_zalloc(sizeof(*m->stages.differences));
    if (m->stages.differences == NULL) return PERILUNE_ERR_NOMEM;
    if ((*why = read_differences(m, part)) != NULL) return PERILUNE_ERR_INVAL;
    *why = "it is cut off";
    if (!next_part(rest, &part)) return PERILUNE_ERR_INVAL;
    if ((rc = trees_read(&m->stages.trees, part, why)) != 0) return rc;
    *why = "the trees are of other features";
    return trees_features(m->stages.trees) == PAIR_FEATURES ? 0 : PERILUNE_ERR_INVAL;
}

static int read_model(struct pair_model *m, struct slice bytes, const char **why) {
    struct slice part, rest = bytes;
    *why = "it is no pair model";
    if (bytes.len < HEAD || memcmp(bytes.ptr, MAGIC, 8) != 0) return PERILUNE_ERR_INVAL;
    rest = slice_of(bytes.ptr + 16, bytes.len - 16);
    uint64_t sum = little_u32(bytes.ptr + 8) | (uint64_t)little_u32(bytes.ptr + 12) << 32;
    *why = "it is damaged or cut off: its checksum is another one";
    if (checksum(rest) != sum) return PERILUNE_ERR_INVAL;
    *why = "it was made by another version; make it again with `perilune cache calibrate`";
    if (little_u32(rest.ptr) != PAIR_FEATURES) return PERILUNE_ERR_INVAL;
    rest = slice_of(rest.ptr + 4, rest.len - 4);
    *why = "it is cut off";
    if (!next_part(&rest, &part)) return PERILUNE_ERR_INVAL;
    if ((*why = read_name(m, part)) != NULL) return PERILUNE_ERR_INVAL;
    *why = "it is cut off";
    if (!next_part(&rest, &part)) return PERILUNE_ERR_INVAL;
    if ((*why = read_numbers(m, part)) != NULL) return PERILUNE_ERR_INVAL;
    *why = "the rarities have another length";
    if (!next_part(&rest, &part) || part.len != sizeof(m->rarity)) return PERILUNE_ERR_INVAL;
    memcpy(m->rarity, part.ptr, part.len);
    int rc = read_stages(m, &rest, why);
    if (rc == 0 && rest.len > 0) {
        *why = "something is behind its end";
        rc = PERILUNE_ERR_INVAL;
    }
    return rc;
}

int pair_model_open(struct pair_model **out, struct slice bytes, struct failure *f) {
    const char *why = NULL;
    *out = NULL;
    struct pair_model *m = mem_zalloc(sizeof(*m));
    if (m == NULL) return PERILUNE_ERR_NOMEM;
    int rc = read_model(m, bytes, &why);
    if (rc == 0) *out = m;
    else pair_model_close(m);
    if (rc == PERILUNE_ERR_INVAL) failure_set(f, FAILURE_INTERNAL, "a pair model of %zu bytes: %s", bytes.len, why);
    return rc;
}

/* -- The one inside the program ------------------------------------------------------------------- */

extern const char pair_model_bytes[], pair_model_bytes_end[];

static _Atomic(struct pair_model *) builtin;

/* Two threads that come first may both read it: one of them throws its own away. */
const struct pair_model *pair_model_builtin(void) {
    struct pair_model *m = atomic_load(&builtin), *before = NULL;
    if (m != NULL) return m;
    struct failure f;
    failure_init(&f);
    struct slice bytes = slice_of(pair_model_bytes, (size_t)(pair_model_bytes_end - pair_model_bytes));
    int rc = pair_model_open(&m, bytes, &f);
    failure_deinit(&f);
    if (rc != 0) return NULL;
    if (atomic_compare_exchange_strong(&builtin, &before, m)) return m;
    pair_model_close(m);
    return before;
}

void pair_model_forget_builtin(void) { pair_model_close(atomic_exchange(&builtin, NULL)); }
