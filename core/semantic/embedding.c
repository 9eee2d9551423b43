/* embedding.c -- the embedder that is built in.
 *
 * Two texts are near when they mean about the same (the table, which knows that "refund" and "money back" are
 * neighbours) and when they are written about the same (n-grams, which know that "X200" and "X300" are not).
 * Both together are better than each alone.
 *
 *     vector     [ sqrt(0.6) * table's direction | sqrt(0.4) * n-grams, projected ]   for an index: candidates
 *     similarity   0.6 * cosine of the table     + 0.4 * cosine of the n-grams        for those: exactly
 *
 * The product of two vectors is about their similarity, since 128 numbers keep the angle between two sets of
 * some hundred n-grams to a few hundredths: of 16,000 candidates none was more than EMBEDDER_SLACK nearer than
 * its product said.  An index that is asked for a few more candidates than are needed does not miss the nearest.
 *
 * An embedder belongs to one thread, for the sake of its tokenizer's cache.  What n-grams are worth changes as
 * texts are counted; vectors that were made before stay as they were, which an index does not mind. */
#include "semantic/embedding.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/bpe.h"
#include "tokens/vocab.h"

#define MEANING   0.7f /* of the similarity; see table/README.md for what it was chosen on */
#define PROJECTED 128
#define NEARNESS_BYTES 64 /* of a word */
#define STEP      64 /* what an index takes: a multiple of it */

struct embedder {
    const struct static_table *table;
    const struct gram_counts  *counts;
    struct bpe *tokenizer;
    unsigned    meaning, dims;
};

struct embedder *embedder_new(const struct static_table *table, const struct gram_counts *counts) {
    struct embedder *e = mem_zalloc(sizeof(*e));
    if (e == NULL) return NULL;
    e->table = table != NULL ? table : static_table_builtin();
    e->counts = counts;
    e->meaning = static_table_dims(e->table);
    e->dims = (e->meaning + PROJECTED + STEP - 1) / STEP * STEP;
    struct vocab *v = vocab_builtin(SLICE("o200k_base"));
    e->tokenizer = v != NULL ? bpe_new(v) : NULL;
    vocab_put(v);
    if (e->tokenizer == NULL) {
        mem_free(e);
        return NULL;
    }
    return e;
}

void embedder_free(struct embedder *e) {
    if (e == NULL) return;
    bpe_free(e->tokenizer);
    mem_free(e);
}

unsigned embedder_dims(const struct embedder *e) { return e->dims; }
unsigned embedder_meaning(const struct embedder *e) { return e->meaning; }

void embedded_text_init(struct embedded_text *t) { *t = (struct embedded_text){ 0 }; }

void embedded_text_deinit(struct embedded_text *t) {
    grams_deinit(&t->grams);
    buf_deinit(&t->rows);
    mem_free(t->vector); /* and meaning, which lies behind it */
    embedded_text_init(t);
}

/* Of t->meaning and the weighed n-grams one vector. */
static void join(const struct embedder *e, struct embedded_text *t) {
    float *projected = t->vector + e->meaning, sum = 0;
    memset(t->vector, 0, e->dims * sizeof(*t->vector));
    for (unsigned i = 0; i < e->meaning; i++) t->vector[i] = sqrtf(MEANING) * t->meaning[i];
    grams_project(&t->grams, projected, PROJECTED);
    for (unsigned i = 0; i < PROJECTED; i++) sum += projected[i] * projected[i];
    float scale = sum > 0 ? sqrtf((1 - MEANING) / sum) : 0;
    for (unsigned i = 0; i < PROJECTED; i++) projected[i] *= scale;
}

int embedder_embed(struct embedder *e, uint64_t scope, struct slice normal, struct embedded_text *t) {
    float *numbers = mem_realloc(t->vector, (e->dims + e->meaning) * sizeof(*numbers));
    if (numbers == NULL) return PERILUNE_ERR_NOMEM;
    t->normal = normal;
    t->vector = numbers;
    t->meaning = numbers + e->dims;
    t->table = e->table;
    int rc = static_table_find(e->table, e->tokenizer, normal, &t->rows);
    static_table_sum(e->table, embedded_text_rows(t), embedded_text_row_count(t), t->meaning);
    if (rc == 0) rc = grams_read(&t->grams, normal);
    if (rc != 0) {
        t->grams.count = 0;
        memset(numbers, 0, (e->dims + e->meaning) * sizeof(*numbers));
        return rc;
    }
    grams_weigh(&t->grams, e->counts, scope);
    join(e, t);
    return 0;
}

float embedder_similarity(const struct embedder *e, const struct embedded_text *a, const struct embedded_text *b) {
    float meaning = 0;
    for (unsigned i = 0; i < e->meaning; i++) meaning += a->meaning[i] * b->meaning[i];
    if (meaning < 0) meaning = 0;
    if (meaning > 1) meaning = 1;
    return MEANING * meaning + (1 - MEANING) * grams_cosine(&a->grams, &b->grams);
}

static char lower(char c) { return (unsigned)(unsigned char)c - 'A' < 26 ? (char)(c | 0x20) : c; }

/* The direction of a word; false: no memory. */
static bool point_at(struct embedder *e, const struct static_table *t, struct slice word, bool apart, float *out) {
    char text[NEARNESS_BYTES + 1];
    struct buf rows;
    size_t len = word.len < NEARNESS_BYTES ? word.len : NEARNESS_BYTES;
    text[0] = ' ';
    for (size_t i = 0; i < len; i++) text[i + 1] = lower(word.ptr[i]);
    buf_init(&rows, 0);
    int rc = static_table_find_piece(t, e->tokenizer, slice_of(text + !apart, len + apart), &rows);
    static_table_sum(t, (const uint32_t *)(const void *)buf_get(&rows).ptr, buf_len(&rows) / sizeof(uint32_t), out);
    buf_deinit(&rows);
    return rc == 0;
}

float embedder_nearness(struct embedder *e, struct slice a, struct slice b, bool apart) {
    const struct static_table *t = static_table_builtin();
    float x[STATIC_TABLE_MAX_DIMS], y[STATIC_TABLE_MAX_DIMS], sum = 0;
    if (!point_at(e, t, a, apart, x) || !point_at(e, t, b, apart, y)) return -2;
    for (unsigned i = 0; i < static_table_dims(t); i++) sum += x[i] * y[i];
    return sum;
}
