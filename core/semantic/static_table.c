/* static_table.c -- a vector for each token, which needs no model to be summed.
 *
 * The direction of a text is that of the sum of its tokens' rows, as they were fitted to what a model of
 * sentences says of whole texts (table/README.md).  A token without a row adds nothing.
 *
 * The file form, little endian:
 *
 *     "PLROWS1\n" | u32 rows | u32 dims | u32 token id, ascending x rows | f32 scale x rows | i8 x rows * dims
 *
 * A row is its numbers times its scale.  Nothing is copied out of it; which row a token has is told by a bit
 * for each token and by how many bits stand before:
 *
 *     places[id / 64]    [ 64 bits: has it a row? | rows before ]        50 KB for 200,019 tokens
 *
 * The text is tokenized with one space in front of it, since that is how words stand in a text, and the first
 * word would else be another token than the same word later on.
 *
 * A table that was opened is immutable.  The one inside the program finds its places when it is first used, by
 * whichever thread comes first; from then on it is as constant as the others. */
#include "semantic/static_table.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "base/little.h"
#include "semantic/semantic.h"
#include "tokens/bpe.h"

#define MAGIC       SLICE("PLROWS1\n")
#define HEAD        16 /* bytes before the ids */
#define VOCABULARY  200019 /* tokens of o200k_base */
#define PLACES      (VOCABULARY / 64 + 1)
#define LANES       16 /* numbers that are added at once */
#define MOST_SCALE  1e6f /* sums of squares stay finite */

struct place {
    uint64_t bits;
    uint32_t before;
};

struct static_table {
    uint32_t             rows, dims;
    const unsigned char *ids, *scales;
    const int8_t        *numbers;
    struct place         places[PLACES];
};

/* -- The file form ----------------------------------------------------------------------- */

static int bad(struct failure *f, const char *what, uint64_t is, uint64_t want) {
    failure_set(f, FAILURE_INTERNAL, "a table of rows: %s (is %llu, expected %llu)", what, (unsigned long long)is,
                (unsigned long long)want);
    return PERILUNE_ERR_INVAL;
}

static int read_head(struct static_table *t, struct slice bytes, struct failure *f) {
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    if (bytes.len < HEAD || !slice_starts(bytes, MAGIC)) {
        failure_set(f, FAILURE_INTERNAL, "not a table of rows: it does not begin with PLROWS1");
        return PERILUNE_ERR_INVAL;
    }
    t->rows = little_u32(p + 8);
    t->dims = little_u32(p + 12);
    if (t->rows == 0 || t->rows > VOCABULARY) return bad(f, "number of rows, most", t->rows, VOCABULARY);
    if (t->dims == 0 || t->dims > STATIC_TABLE_MAX_DIMS || t->dims % LANES != 0)
        return bad(f, "numbers of a row, a multiple of 16, at most", t->dims, STATIC_TABLE_MAX_DIMS);
    uint64_t want = HEAD + (uint64_t)t->rows * (8 + t->dims);
    if (bytes.len != want) return bad(f, bytes.len < want ? "cut short, bytes" : "too long, bytes", bytes.len, want);
    t->ids = p + HEAD;
    t->scales = t->ids + 4 * (size_t)t->rows;
    t->numbers = (const int8_t *)(t->scales + 4 * (size_t)t->rows);
    return 0;
}

static int check_rows(const struct static_table *t, struct failure *f) {
    for (uint32_t i = 0; i < t->rows; i++) {
        uint32_t id = little_u32(t->ids + 4 * (size_t)i);
        if (id >= VOCABULARY) return bad(f, "token id, less than", id, VOCABULARY);
        if (i > 0 && id <= little_u32(t->ids + 4 * (size_t)(i - 1))) {
            failure_set(f, FAILURE_INTERNAL, "a table of rows: token ids do not ascend at row %u", i);
            return PERILUNE_ERR_INVAL;
        }
        if (!(fabsf(little_f32(t->scales + 4 * (size_t)i)) <= MOST_SCALE)) {
            failure_set(f, FAILURE_INTERNAL, "a table of rows: the scale of row %u is no number or too large", i);
            return PERILUNE_ERR_INVAL;
        }
    }
    return 0;
}

static void find_places(struct static_table *t) {
    for (uint32_t i = 0; i < t->rows; i++) {
        uint32_t id = little_u32(t->ids + 4 * (size_t)i);
        t->places[id / 64].bits |= (uint64_t)1 << id % 64;
    }
    uint32_t before = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        t->places[i].before = before;
        before += (uint32_t)__builtin_popcountll(t->places[i].bits);
    }
}

int static_table_open(struct static_table **out, struct slice bytes, struct failure *f) {
    *out = NULL;
    struct static_table *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return PERILUNE_ERR_NOMEM;
    int rc = read_head(t, bytes, f);
    if (rc == 0) rc = check_rows(t, f);
    if (rc != 0) {
        mem_free(t);
        return rc;
    }
    find_places(t);
    *out = t;
    return 0;
}

void static_table_close(struct static_table *t) { mem_free(t); }

/* -- Writing it ------------------------------------------------------------------------- */

static void put_numbers(struct buf *out, const float *row, unsigned have, unsigned dims, float most) {
    char *to = buf_reserve(out, dims);
    if (to == NULL) return;
    for (unsigned k = 0; k < dims; k++) to[k] = k < have ? (char)lrintf(row[k] / most * 127) : 0;
    buf_advance(out, dims);
}

int static_table_write(const uint32_t *ids, const float *numbers, size_t count, unsigned have, unsigned dims,
                       struct buf *out) {
    float *most = mem_alloc((count + 1) * sizeof(*most)); /* of each row */
    if (most == NULL) return PERILUNE_ERR_NOMEM;
    buf_slice(out, MAGIC);
    little_put_u32(out, (uint32_t)count);
    little_put_u32(out, dims);
    for (size_t i = 0; i < count; i++) little_put_u32(out, ids[i]);
    for (size_t i = 0; i < count; i++) {
        most[i] = 0;
        for (unsigned k = 0; k < have; k++) most[i] = fmaxf(most[i], fabsf(numbers[i * have + k]));
        if (!(most[i] > 1e-30f)) most[i] = 127;
        little_put_f32(out, most[i] / 127);
    }
    for (size_t i = 0; i < count; i++) put_numbers(out, numbers + i * have, have, dims, most[i]);
    mem_free(most);
    return buf_failed(out) ? PERILUNE_ERR_NOMEM : 0;
}

/* -- The one inside the program ------------------------------------------------------------ */

extern const unsigned char static_table_rows[], static_table_rows_end[];

static struct static_table builtin;

static void read_builtin(void) {
    struct failure f;
    failure_init(&f);
    struct slice bytes = slice_of((const char *)static_table_rows, (size_t)(static_table_rows_end - static_table_rows));
    int rc = read_head(&builtin, bytes, &f); /* test_static_table.c checks its rows */
    if (rc == 0) find_places(&builtin);
    failure_deinit(&f);
}

const struct static_table *static_table_builtin(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_builtin);
    return &builtin;
}

unsigned static_table_dims(const struct static_table *t) { return t->dims; }

/* -- Sums ---------------------------------------------------------------------------------- */

#ifdef __SSE2__
/* Four numbers, each in the upper half of 32 bits. */
static inline void add_4(__m128i high, __m128 scale, float *out) {
    __m128 x = _mm_cvtepi32_ps(_mm_srai_epi32(high, 16));
    _mm_storeu_ps(out, _mm_add_ps(_mm_loadu_ps(out), _mm_mul_ps(x, scale)));
}

static inline void add_lanes(const int8_t *row, float scale, float *out) {
    const __m128i q = _mm_loadu_si128((const __m128i *)(const void *)row), zero = _mm_setzero_si128();
    const __m128i low = _mm_srai_epi16(_mm_unpacklo_epi8(zero, q), 8);
    const __m128i up = _mm_srai_epi16(_mm_unpackhi_epi8(zero, q), 8);
    const __m128 by = _mm_set1_ps(scale);
    add_4(_mm_unpacklo_epi16(zero, low), by, out);
    add_4(_mm_unpackhi_epi16(zero, low), by, out + 4);
    add_4(_mm_unpacklo_epi16(zero, up), by, out + 8);
    add_4(_mm_unpackhi_epi16(zero, up), by, out + 12);
}
#else
static inline void add_lanes(const int8_t *row, float scale, float *out) {
    for (int i = 0; i < LANES; i++) out[i] += scale * (float)row[i];
}
#endif

static inline void add_row(const int8_t *row, float scale, float *out, unsigned dims) {
    for (unsigned i = 0; i < dims; i += LANES) add_lanes(row + i, scale, out + i);
}

/* The row of a token, or UINT32_MAX. */
static uint32_t row_of(const struct static_table *t, uint32_t id) {
    if (id >= VOCABULARY) return UINT32_MAX;
    const struct place *p = &t->places[id / 64];
    uint64_t bit = (uint64_t)1 << id % 64;
    if ((p->bits & bit) == 0) return UINT32_MAX;
    return p->before + (uint32_t)__builtin_popcountll(p->bits & (bit - 1));
}

static void make_length_1(float *v, unsigned n) {
    float sum = 0;
    for (unsigned i = 0; i < n; i++) sum += v[i] * v[i];
    float scale = sum > 0 ? 1 / sqrtf(sum) : 0;
    for (unsigned i = 0; i < n; i++) v[i] *= scale;
}

static int find_rows(const struct static_table *t, struct bpe *b, struct slice text, struct buf *out) {
    int rc = bpe_encode(b, text, 0, out);
    if (rc != 0 || buf_failed(out)) {
        buf_clear(out);
        return rc == PERILUNE_ERR_INVAL ? 0 : PERILUNE_ERR_NOMEM; /* what is not UTF-8 has no tokens */
    }
    uint32_t *ids = (uint32_t *)(void *)(out->data + out->mark);
    size_t count = buf_len(out) / sizeof(*ids), kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t row = row_of(t, ids[i]);
        if (row == UINT32_MAX) continue;
        ids[kept++] = row;
        /* On its way while the next ones are found: rows lie anywhere. */
        __builtin_prefetch(t->scales + 4 * (size_t)row);
        for (unsigned k = 0; k < t->dims; k += 64) __builtin_prefetch(t->numbers + (size_t)row * t->dims + k);
    }
    out->len = out->mark + kept * sizeof(*ids);
    return 0;
}

int static_table_find(const struct static_table *t, struct bpe *b, struct slice normal, struct buf *out) {
    char here[SEMANTIC_MAX_TEXT + 1], *text = here;
    buf_clear(out);
    if (normal.len == 0) return 0;
    if (normal.len > SEMANTIC_MAX_TEXT && (text = mem_alloc(normal.len + 1)) == NULL) return PERILUNE_ERR_NOMEM;
    text[0] = ' ';
    memcpy(text + 1, normal.ptr, normal.len);
    int rc = find_rows(t, b, slice_of(text, normal.len + 1), out);
    if (text != here) mem_free(text);
    return rc;
}

int static_table_find_piece(const struct static_table *t, struct bpe *b, struct slice piece, struct buf *out) {
    buf_clear(out);
    return piece.len == 0 ? 0 : find_rows(t, b, piece, out);
}

void static_table_sum(const struct static_table *t, const uint32_t *rows, size_t count, float *out) {
    memset(out, 0, t->dims * sizeof(*out));
    for (size_t i = 0; i < count; i++)
        add_row(t->numbers + (size_t)rows[i] * t->dims, little_f32(t->scales + 4 * (size_t)rows[i]), out, t->dims);
    make_length_1(out, t->dims);
}

void static_table_add(const struct static_table *t, uint32_t row, float *out) {
    add_row(t->numbers + (size_t)row * t->dims, little_f32(t->scales + 4 * (size_t)row), out, t->dims);
}

float static_table_cosine(const struct static_table *t, uint32_t a, uint32_t b) {
    const int8_t *x = t->numbers + (size_t)a * t->dims, *y = t->numbers + (size_t)b * t->dims;
    int32_t xy = 0, xx = 0, yy = 0;
    for (unsigned i = 0; i < t->dims; i++) {
        xy += x[i] * y[i];
        xx += x[i] * x[i];
        yy += y[i] * y[i];
    }
    return xx > 0 && yy > 0 ? (float)xy / sqrtf((float)xx * (float)yy) : 0;
}

uint32_t static_table_mark(const struct static_table *t) {
    static const struct hash_key key = { 5, 6 };
    return (uint32_t)hash64(&key, slice_of((const char *)t->ids, t->rows * (size_t)(8 + t->dims)));
}

int static_table_embed(const struct static_table *t, struct bpe *b, struct slice normal, float *out) {
    struct buf rows;
    buf_init(&rows, 0);
    int rc = static_table_find(t, b, normal, &rows);
    static_table_sum(t, (const uint32_t *)(const void *)buf_get(&rows).ptr, buf_len(&rows) / sizeof(uint32_t), out);
    buf_deinit(&rows);
    return rc;
}
