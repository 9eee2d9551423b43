/* fit.c -- makes a table of tokens' vectors agree with what a model of sentences says of whole texts.
 *
 *     make build/release/fit_rows
 *     build/release/fit_rows TEXTS VECTORS -o OUT.rows [--init FILE.rows] [--dims N] [--rounds N] [--rate R] [--pull P]
 *
 *     TEXTS      a text a line
 *     VECTORS    of the model, for each line: 32-bit floats, as many a line as the size of the file says
 *     --init     rows to begin with, of the same dims (`perilune cache table` imports them)
 *     --pull     how strongly rows are held where they began, 0 to 1 a step
 *
 *     texts --tokens--> sum of their rows, length 1 --> cosines of a batch  <-- compared -->  cosines of the model's
 *
 * A batch is a quarter texts that were drawn and three quarters neighbours of these by the model, since any table tells
 * a question about cooking from one about taxes; what matters is the order among those that are near.  For each text,
 * both sides give a distribution over the others (softmax of cosines / TEMPERATURE); the loss is the divergence
 * of the two, plus SQUARES times the squared difference of cosines.  Adam, for the rows of the batch only, its rate
 * falling to 0.
 *
 * Neighbours are those in the same cell: twice, some texts are drawn as centres and each text goes to its
 * nearest.  The mean of all vectors is taken off first, since models put all texts into one corner.
 *
 * Every 50th text is held out; what is printed is the rank correlation with the model among neighbours of those.
 * The same input gives the same table, on the same machine: sums of floats depend on how they are vectorized.
 *
 * A program of its own, one thread; what is wrong with its input ends it with a message. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/little.h"
#include "semantic/normal.h"
#include "semantic/static_table.h"
#include "tokens/bpe.h"
#include "tokens/vocab.h"

#define VOCABULARY  200019
#define MOST_ROWS   58000
#define TEMPERATURE 0.05f
#define SQUARES     3.0f
#define BATCH       1024
#define SEEDS       256
#define NEAR        16 /* neighbours of a text that are known */
#define DRAWN       3  /* of them in a batch with their text */
#define SKETCH      64 /* numbers of a vector by which neighbours are looked for */
#define CELL        6000
#define HELD_OUT    50

static struct {
    const char *texts, *vectors, *init, *out;
    unsigned    dims, rounds;
    float       rate, pull;
} opt = { .dims = 128, .rounds = 6, .rate = 0.003f };

static _Noreturn void give_up(const char *what, const char *why) {
    fprintf(stderr, "fit_rows: %s: %s\n", what, why);
    exit(1);
}

static void *take(size_t count, size_t size) {
    void *p = mem_zalloc(count > 0 ? count * size : 1);
    if (p == NULL) give_up("memory", "not enough");
    return p;
}

static struct slice read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) give_up(path, "cannot be read");
    long size = ftell(f);
    char *data = take((size_t)size + 1, 1);
    rewind(f);
    if (fread(data, 1, (size_t)size, f) != (size_t)size) give_up(path, "cannot be read");
    fclose(f);
    return slice_of(data, (size_t)size);
}

/* -- Chance ------------------------------------------------------------------------------- */

static uint64_t chance = 0x9E3779B97F4A7C15u;

static uint32_t draw(uint32_t below) {
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (uint32_t)((chance >> 32) * below >> 32);
}

static float noise(void) { return (float)draw(1u << 20) / (1u << 19) - 1; }

/* -- Vectors -------------------------------------------------------------------------------- */

static float dot(const float *a, const float *b, unsigned n) {
    float sum = 0;
    for (unsigned i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static float make_length_1(float *v, unsigned n) {
    float length = sqrtf(dot(v, v, n));
    for (unsigned i = 0; i < n; i++) v[i] *= length > 0 ? 1 / length : 0;
    return length;
}

static float  *taught; /* [count][width]: what the model says, without the mean, length 1 */
static size_t  count;
static unsigned width;

static void read_vectors(void) {
    struct slice bytes = read_file(opt.vectors);
    width = (unsigned)(bytes.len / sizeof(float) / count);
    if (width == 0 || bytes.len != count * width * sizeof(float)) give_up(opt.vectors, "not so many rows as texts");
    taught = (float *)(void *)bytes.ptr;
    double *mean = take(width, sizeof(*mean));
    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; k < width; k++) mean[k] += taught[i * width + k] / (double)count;
    for (size_t i = 0; i < count; i++) {
        for (unsigned k = 0; k < width; k++) taught[i * width + k] -= (float)mean[k];
        make_length_1(taught + i * width, width);
    }
    mem_free(mean);
}

/* -- Texts and rows -------------------------------------------------------------------------- */

static uint32_t *tokens;   /* of all texts: rows */
static size_t   *starts;   /* [count + 1] */
static uint32_t *ids;      /* [rows]: tokens, ascending */
static float    *rows, *began; /* [row_count][dims] */
static uint32_t  row_count;

static void read_texts(struct bpe *b) {
    struct slice file = read_file(opt.texts);
    struct buf normal, all, one;
    buf_init(&normal, 0);
    buf_init(&all, 0);
    buf_init(&one, 0);
    for (size_t i = 0; i < file.len; i++) count += file.ptr[i] == '\n';
    starts = take(count + 1, sizeof(*starts));
    const char *p = file.ptr;
    for (size_t i = 0; i < count; i++) {
        const char *end = memchr(p, '\n', (size_t)(file.ptr + file.len - p));
        buf_clear(&normal);
        buf_clear(&one);
        buf_putc(&normal, ' ');
        normal_write(slice_of(p, (size_t)(end - p)), &normal);
        if (bpe_encode(b, buf_get(&normal), 0, &one) != 0) give_up(opt.texts, "has a line that is not UTF-8");
        buf_slice(&all, buf_get(&one));
        starts[i + 1] = buf_len(&all) / sizeof(uint32_t);
        p = end + 1;
    }
    if (buf_failed(&all) || count < BATCH) give_up(opt.texts, "too few lines, or no memory");
    tokens = (uint32_t *)(void *)(all.data + all.mark);
    buf_deinit(&normal);
    buf_deinit(&one);
}

static bool is_ideographic(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 0xE3 && (unsigned char)s.ptr[i] <= 0xE9) return true;
    return false;
}

struct init {
    uint32_t             count, dims;
    const unsigned char *ids, *scales;
    const int8_t        *numbers;
};

static struct init read_init(void) {
    struct init in = { 0 };
    if (opt.init == NULL) return in;
    struct slice s = read_file(opt.init);
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (s.len < 16 || !slice_starts(s, SLICE("PLROWS1\n"))) give_up(opt.init, "not a table of rows");
    in.count = little_u32(p + 8);
    in.dims = little_u32(p + 12);
    if (in.dims != opt.dims || s.len != 16 + (size_t)in.count * (8 + in.dims)) give_up(opt.init, "has other dims");
    in.ids = p + 16;
    in.scales = in.ids + 4 * (size_t)in.count;
    in.numbers = (const int8_t *)(in.scales + 4 * (size_t)in.count);
    return in;
}

/* Tokens that occur; then the ones with the lowest numbers, which are the most frequent, that may occur. */
static uint32_t *choose_rows(const struct init *in, struct vocab *v) {
    uint32_t *row_of = take(VOCABULARY, sizeof(*row_of));
    for (size_t i = 0; i < starts[count]; i++) row_of[tokens[i]] = 1;
    for (uint32_t i = 0; i < VOCABULARY; i++) row_count += row_of[i];
    for (uint32_t i = 0, k = 0; i < VOCABULARY && row_count < MOST_ROWS; i++) {
        struct slice s;
        while (k < in->count && little_u32(in->ids + 4 * (size_t)k) < i) k++;
        bool known = k < in->count && little_u32(in->ids + 4 * (size_t)k) == i;
        if (row_of[i] == 0 && (known || (vocab_token(v, i, &s) && is_ideographic(s)))) row_of[i] = 1, row_count++;
    }
    ids = take(row_count, sizeof(*ids));
    for (uint32_t i = 0, row = 0; i < VOCABULARY; i++)
        if (row_of[i] != 0) ids[row] = i, row_of[i] = row++;
    return row_of;
}

/* A token's row begins as it was, with a mean length of 1; one that had none with a little noise. */
static void begin_rows(struct vocab *v) {
    struct init in = read_init();
    uint32_t *row_of = choose_rows(&in, v);
    double lengths = 0;
    size_t known = 0;
    rows = take((size_t)row_count * opt.dims, sizeof(*rows));
    began = take((size_t)row_count * opt.dims, sizeof(*began));
    for (uint32_t r = 0; r < row_count; r++)
        for (unsigned k = 0; k < opt.dims; k++) rows[(size_t)r * opt.dims + k] = noise() * 0.02f;
    for (uint32_t i = 0, r = 0; i < in.count; i++) {
        uint32_t id = little_u32(in.ids + 4 * (size_t)i);
        while (r < row_count && ids[r] < id) r++;
        if (r == row_count || ids[r] != id) continue;
        float *row = rows + (size_t)r * opt.dims, scale = little_f32(in.scales + 4 * (size_t)i);
        for (unsigned k = 0; k < opt.dims; k++) row[k] = scale * (float)in.numbers[(size_t)i * opt.dims + k];
        float length = sqrtf(dot(row, row, opt.dims));
        if (length > 0) lengths += length, known++;
        for (unsigned k = 0; k < opt.dims; k++) began[(size_t)r * opt.dims + k] = row[k];
    }
    float by = known > 0 ? (float)((double)known / lengths) : 1;
    for (size_t i = 0; i < (size_t)row_count * opt.dims; i++) {
        if (began[i] != 0) rows[i] = began[i] = began[i] * by;
    }
    for (size_t i = 0; i < starts[count]; i++) tokens[i] = row_of[tokens[i]];
    fprintf(stderr, "%zu texts, %zu tokens, %u rows, %zu of them began with one\n", count, starts[count], row_count,
            known);
    mem_free(row_of);
}

/* out = the direction of a text; returns the length of its sum. */
static float embed(size_t text, float *out) {
    memset(out, 0, opt.dims * sizeof(*out));
    for (size_t i = starts[text]; i < starts[text + 1]; i++) {
        const float *row = rows + (size_t)tokens[i] * opt.dims;
        for (unsigned k = 0; k < opt.dims; k++) out[k] += row[k];
    }
    return make_length_1(out, opt.dims);
}

/* -- Neighbours ------------------------------------------------------------------------------- */

struct near {
    uint32_t text;
    float    score;
};

static struct near *near; /* [count][NEAR], the nearest first; those of score -2 are none */

/* A few numbers of each vector that say most of it: directions drawn by chance, made orthogonal. */
static float *sketch_all(void) {
    float *base = take((size_t)SKETCH * width, sizeof(*base)), *out = take(count * SKETCH, sizeof(*out));
    unsigned sketch = width < SKETCH ? width : SKETCH;
    for (unsigned d = 0; d < sketch; d++) {
        float *v = base + (size_t)d * width;
        for (unsigned k = 0; k < width; k++) v[k] = noise();
    }
    for (int round = 0; round < 3; round++) /* towards the principal components */
        for (unsigned d = 0; d < sketch; d++) {
            float *v = base + (size_t)d * width, *sum = take(width, sizeof(*sum));
            for (size_t i = d; i < count; i += 61) {
                float by = dot(v, taught + i * width, width);
                for (unsigned k = 0; k < width; k++) sum[k] += by * taught[i * width + k];
            }
            for (unsigned e = 0; e < d; e++) {
                float by = dot(sum, base + (size_t)e * width, width);
                for (unsigned k = 0; k < width; k++) sum[k] -= by * base[(size_t)e * width + k];
            }
            make_length_1(sum, width);
            memcpy(v, sum, width * sizeof(*v));
            mem_free(sum);
        }
    for (size_t i = 0; i < count; i++) {
        for (unsigned d = 0; d < sketch; d++)
            out[i * SKETCH + d] = dot(taught + i * width, base + (size_t)d * width, width);
        make_length_1(out + i * SKETCH, SKETCH);
    }
    mem_free(base);
    return out;
}

static void insert_near(size_t text, uint32_t other, float score) {
    struct near *list = near + text * NEAR;
    if (score <= list[NEAR - 1].score) return;
    for (unsigned i = 0; i < NEAR; i++)
        if (list[i].text == other && list[i].score > -2) return;
    unsigned i = NEAR - 1;
    for (; i > 0 && list[i - 1].score < score; i--) list[i] = list[i - 1];
    list[i] = (struct near){ other, score };
}

static void compare_cell(const float *sketches, const uint32_t *members, size_t n) {
    float *cell = take(n * SKETCH, sizeof(*cell));
    for (size_t i = 0; i < n; i++)
        memcpy(cell + i * SKETCH, sketches + members[i] * (size_t)SKETCH, SKETCH * sizeof(*cell));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            float score = dot(cell + i * SKETCH, cell + k * SKETCH, SKETCH);
            insert_near(members[i], members[k], score);
            insert_near(members[k], members[i], score);
        }
    mem_free(cell);
}

static void look_in_cells(const float *sketches) {
    uint32_t cells = (uint32_t)(count / CELL + 1), *cell_of = take(count, sizeof(*cell_of));
    uint32_t *members = take(count, sizeof(*members));
    size_t *centres = take(cells, sizeof(*centres));
    for (uint32_t c = 0; c < cells; c++) centres[c] = draw((uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        float best = -2;
        for (uint32_t c = 0; c < cells; c++) {
            float s = dot(sketches + i * SKETCH, sketches + centres[c] * SKETCH, SKETCH);
            if (s > best) best = s, cell_of[i] = c;
        }
    }
    for (uint32_t c = 0; c < cells; c++) {
        size_t n = 0;
        for (uint32_t i = 0; i < count; i++)
            if (cell_of[i] == c) members[n++] = i;
        for (size_t from = 0; from < n; from += 4 * CELL) /* a cell that many went to is cut */
            compare_cell(sketches, members + from, n - from < 4 * CELL ? n - from : 4 * CELL);
    }
    mem_free(cell_of);
    mem_free(members);
    mem_free(centres);
}

static void find_neighbours(void) {
    float *sketches = sketch_all();
    near = take(count * NEAR, sizeof(*near));
    for (size_t i = 0; i < count * NEAR; i++) near[i].score = -2;
    for (int i = 0; i < 2; i++) look_in_cells(sketches);
    mem_free(sketches);
}

/* -- A step --------------------------------------------------------------------------------------- */

static float *moment, *power; /* Adam's, as rows */
static uint32_t *last_step;   /* [rows] + 1: when a row was last changed */

struct batch {
    uint32_t text[BATCH];
    unsigned n;
    float *e, *length;        /* directions, and lengths of sums */
    float *c;                 /* cosines now, then how the loss changes with them */
    float *t;                 /* cosines of the model */
    float *de;
};

static bool is_held_out(size_t text) { return text % HELD_OUT == 0; }

static bool is_usable(size_t text) { return !is_held_out(text) && starts[text + 1] > starts[text]; }

static bool is_in(const struct batch *b, uint32_t text) {
    for (unsigned i = 0; i < b->n; i++)
        if (b->text[i] == text) return true;
    return false;
}

static void fill_batch(struct batch *b, const uint32_t *seeds) {
    b->n = 0;
    for (unsigned i = 0; i < SEEDS; i++) {
        if (!is_in(b, seeds[i])) b->text[b->n++] = seeds[i];
        for (unsigned k = 0; k < DRAWN; k++) {
            const struct near *other = &near[(size_t)seeds[i] * NEAR + draw(NEAR)];
            if (other->score > -2 && is_usable(other->text) && !is_in(b, other->text)) b->text[b->n++] = other->text;
        }
    }
    for (unsigned i = 0; i < b->n; i++) b->length[i] = embed(b->text[i], b->e + (size_t)i * opt.dims);
    for (unsigned i = 0; i < b->n; i++)
        for (unsigned k = 0; k <= i; k++) {
            float ours = dot(b->e + (size_t)i * opt.dims, b->e + (size_t)k * opt.dims, opt.dims);
            float theirs = dot(taught + (size_t)b->text[i] * width, taught + (size_t)b->text[k] * width, width);
            b->c[i * BATCH + k] = b->c[k * BATCH + i] = ours;
            b->t[i * BATCH + k] = b->t[k * BATCH + i] = theirs;
        }
}

/* p[] = softmax of x[] / TEMPERATURE without the i-th. */
static void softmax(const float *x, unsigned n, unsigned i, float *p) {
    float most = -2, sum = 0;
    for (unsigned k = 0; k < n; k++)
        if (k != i && x[k] > most) most = x[k];
    for (unsigned k = 0; k < n; k++) sum += p[k] = k == i ? 0 : expf((x[k] - most) / TEMPERATURE);
    for (unsigned k = 0; k < n; k++) p[k] /= sum;
}

/* c becomes how the loss changes with each cosine; returns the loss. */
static double differentiate(struct batch *b) {
    double loss = 0;
    static float p[BATCH], q[BATCH];
    for (unsigned i = 0; i < b->n; i++) {
        float *c = b->c + (size_t)i * BATCH;
        const float *t = b->t + (size_t)i * BATCH;
        softmax(t, b->n, i, p);
        softmax(c, b->n, i, q);
        for (unsigned k = 0; k < b->n; k++) {
            float off = c[k] - t[k];
            if (p[k] > 0) loss += (double)(p[k] * logf(p[k] / (q[k] + 1e-30f)));
            loss += (double)(SQUARES * off * off / (float)b->n);
            c[k] = (q[k] - p[k]) / TEMPERATURE + 2 * SQUARES * off / (float)b->n;
        }
    }
    return loss / b->n;
}

/* How the loss changes with each direction: a cosine is of two. */
static void spread(struct batch *b) {
    memset(b->de, 0, (size_t)b->n * opt.dims * sizeof(*b->de));
    for (unsigned i = 0; i < b->n; i++)
        for (unsigned k = 0; k < b->n; k++) {
            float by = (b->c[i * BATCH + k] + b->c[k * BATCH + i]) / (float)b->n;
            float *to = b->de + (size_t)i * opt.dims;
            const float *e = b->e + (size_t)k * opt.dims;
            for (unsigned d = 0; d < opt.dims; d++) to[d] += by * e[d];
        }
    for (unsigned i = 0; i < b->n; i++) { /* along the direction itself nothing changes */
        float *to = b->de + (size_t)i * opt.dims;
        const float *e = b->e + (size_t)i * opt.dims;
        float by = dot(to, e, opt.dims);
        for (unsigned d = 0; d < opt.dims; d++) to[d] = b->length[i] > 0 ? (to[d] - by * e[d]) / b->length[i] : 0;
    }
}

static uint32_t *touched; /* rows of the batch, each once */
static float    *slope;   /* [rows][dims] */

static void change_row(uint32_t row, float rate, uint32_t step) {
    float *m = moment + (size_t)row * opt.dims, *v = power + (size_t)row * opt.dims;
    float *to = rows + (size_t)row * opt.dims, *g = slope + (size_t)row * opt.dims;
    const float *home = began + (size_t)row * opt.dims;
    float m1 = 1 - powf(0.9f, (float)step), v1 = 1 - powf(0.999f, (float)step);
    for (unsigned d = 0; d < opt.dims; d++) {
        m[d] = 0.9f * m[d] + 0.1f * g[d];
        v[d] = 0.999f * v[d] + 0.001f * g[d] * g[d];
        to[d] -= rate * (m[d] / m1) / (sqrtf(v[d] / v1) + 1e-8f);
        to[d] += opt.pull * rate / opt.rate * (home[d] - to[d]);
        g[d] = 0;
    }
}

static void change_rows(const struct batch *b, float rate, uint32_t step) {
    uint32_t n = 0;
    for (unsigned i = 0; i < b->n; i++) {
        const float *de = b->de + (size_t)i * opt.dims;
        for (size_t k = starts[b->text[i]]; k < starts[b->text[i] + 1]; k++) {
            float *g = slope + (size_t)tokens[k] * opt.dims;
            for (unsigned d = 0; d < opt.dims; d++) g[d] += de[d];
            if (last_step[tokens[k]] != step) touched[n++] = tokens[k];
            last_step[tokens[k]] = step;
        }
    }
    for (uint32_t i = 0; i < n; i++) change_row(touched[i], rate, step);
}

/* -- How good it is ---------------------------------------------------------------------------------- */

struct pair_of_scores {
    float ours, theirs;
    float rank;
};

static int by_ours(const void *a, const void *b) {
    float x = ((const struct pair_of_scores *)a)->ours, y = ((const struct pair_of_scores *)b)->ours;
    return (x > y) - (x < y);
}

static int by_theirs(const void *a, const void *b) {
    float x = ((const struct pair_of_scores *)a)->theirs, y = ((const struct pair_of_scores *)b)->theirs;
    return (x > y) - (x < y);
}

static double correlation(struct pair_of_scores *p, size_t n) {
    double sum = 0, mid = (double)(n - 1) / 2;
    qsort(p, n, sizeof(*p), by_ours);
    for (size_t i = 0; i < n; i++) p[i].rank = (float)i;
    qsort(p, n, sizeof(*p), by_theirs);
    for (size_t i = 0; i < n; i++) sum += ((double)p[i].rank - mid) * ((double)i - mid);
    return n > 1 ? sum / ((double)n * ((double)n * (double)n - 1) / 12) : 0;
}

static double check_held_out(void) {
    size_t n = 0;
    struct pair_of_scores *p = take((count / HELD_OUT + 1) * NEAR, sizeof(*p));
    float *a = take(opt.dims, sizeof(*a)), *b = take(opt.dims, sizeof(*b));
    for (size_t i = 0; i < count; i += HELD_OUT) {
        embed(i, a);
        for (unsigned k = 0; k < NEAR; k++) {
            const struct near *other = &near[i * NEAR + k];
            if (other->score <= -2) break;
            embed(other->text, b);
            float theirs = dot(taught + i * width, taught + (size_t)other->text * width, width);
            p[n++] = (struct pair_of_scores){ .ours = dot(a, b, opt.dims), .theirs = theirs };
        }
    }
    double c = correlation(p, n);
    mem_free(p);
    mem_free(a);
    mem_free(b);
    return c;
}

/* -- All of it ------------------------------------------------------------------------------------------ */

static void fit(void) {
    static struct batch b;
    uint32_t *order = take(count, sizeof(*order)), usable = 0, step = 0;
    b.e = take((size_t)BATCH * opt.dims, sizeof(float));
    b.de = take((size_t)BATCH * opt.dims, sizeof(float));
    b.length = take(BATCH, sizeof(float));
    b.c = take((size_t)BATCH * BATCH, sizeof(float));
    b.t = take((size_t)BATCH * BATCH, sizeof(float));
    for (uint32_t i = 0; i < count; i++)
        if (is_usable(i)) order[usable++] = i;
    /* Four texts are seen for one that is drawn, so a quarter of them is drawn in a round. */
    uint32_t steps = usable / BATCH, all = opt.rounds * steps;
    fprintf(stderr, "held out before: %.4f\n", check_held_out());
    for (unsigned round = 0; round < opt.rounds; round++) {
        double loss = 0;
        for (uint32_t i = usable - 1; i > 0; i--) {
            uint32_t k = draw(i + 1), t = order[i];
            order[i] = order[k];
            order[k] = t;
        }
        for (uint32_t s = 0; s < steps; s++) {
            float rate = opt.rate * (1 - (float)step++ / (float)all);
            fill_batch(&b, order + (size_t)s * SEEDS);
            loss += differentiate(&b);
            spread(&b);
            change_rows(&b, rate, step);
        }
        fprintf(stderr, "round %u: loss %.4f, held out %.4f, %.0f s\n", round + 1, loss / steps, check_held_out(),
                (double)clock() / CLOCKS_PER_SEC);
    }
}

/* Has its token come, or did it begin with a row?  Else it is noise. */
static bool is_fitted(uint32_t r) {
    const float *home = began + (size_t)r * opt.dims;
    bool had = last_step[r] > 0;
    for (unsigned k = 0; k < opt.dims && !had; k++) had = home[k] != 0;
    return had;
}

static void write_rows(void) {
    uint32_t kept = 0;
    for (uint32_t r = 0; r < row_count; r++) {
        if (!is_fitted(r)) continue;
        ids[kept] = ids[r];
        memmove(rows + (size_t)kept++ * opt.dims, rows + (size_t)r * opt.dims, opt.dims * sizeof(*rows));
    }
    struct buf form;
    buf_init(&form, 0);
    if (static_table_write(ids, rows, kept, opt.dims, opt.dims, &form) != 0) give_up("memory", "not enough");
    FILE *f = fopen(opt.out, "wb");
    bool ok = f != NULL && fwrite(buf_get(&form).ptr, 1, buf_len(&form), f) == buf_len(&form);
    if (f == NULL || fclose(f) != 0 || !ok) give_up(opt.out, "cannot be written");
    buf_deinit(&form);
    fprintf(stderr, "%s: %u rows of %u numbers\n", opt.out, kept, opt.dims);
}

static void read_options(int argc, char **argv) {
    const char **files[] = { &opt.texts, &opt.vectors };
    size_t named = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (argv[i][0] != '-' && named < 2) *files[named++] = argv[i];
        else if (value == NULL) give_up(argv[i], "an option without a value, or one name too many");
        else if (strcmp(argv[i], "-o") == 0) opt.out = argv[++i];
        else if (strcmp(argv[i], "--init") == 0) opt.init = argv[++i];
        else if (strcmp(argv[i], "--dims") == 0) opt.dims = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0) opt.rounds = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--rate") == 0) opt.rate = strtof(argv[++i], NULL);
        else if (strcmp(argv[i], "--pull") == 0) opt.pull = strtof(argv[++i], NULL);
        else give_up(argv[i], "no option of this program");
    }
    if (named < 2 || opt.out == NULL) give_up("usage", "fit_rows TEXTS VECTORS -o OUT.rows; see the top of fit.c");
    if (opt.dims == 0 || opt.dims % 16 != 0 || opt.dims > 512) give_up("--dims", "a multiple of 16, 512 at most");
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    struct vocab *v = vocab_builtin(SLICE("o200k_base"));
    struct bpe *b = v != NULL ? bpe_new(v) : NULL;
    if (b == NULL) give_up("memory", "not enough");
    read_texts(b);
    read_vectors();
    begin_rows(v);
    moment = take((size_t)row_count * opt.dims, sizeof(*moment));
    power = take((size_t)row_count * opt.dims, sizeof(*power));
    slope = take((size_t)row_count * opt.dims, sizeof(*slope));
    last_step = take(row_count, sizeof(*last_step));
    touched = take(row_count, sizeof(*touched));
    find_neighbours();
    fit();
    write_rows();
    bpe_free(b);
    vocab_put(v);
    return 0;
}
