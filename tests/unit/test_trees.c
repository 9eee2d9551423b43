/* test_trees.c -- boosted trees, and the head over vectors. */
#include "unit.h"

#include <math.h>

#include "base/hash.h"
#include "base/mem.h"
#include "semantic/head.h"
#include "base/little.h"
#include "semantic/trees.h"

#define ROWS     600
#define FEATURES 4

static const struct trees_options usual = { .rounds = 40, .depth = 3, .shrinkage = 0.2, .subsample = 0.8, .columns = 1,
                                            .l2 = 1, .min_weight = 1, .seed = 5 };

struct table {
    float x[ROWS * FEATURES], y[ROWS];
};

static void fill(struct table *t, uint64_t seed, float (*answer)(const float *)) {
    struct rng r;
    rng_seed(&r, seed);
    for (int i = 0; i < ROWS * FEATURES; i++) t->x[i] = (float)rng_double(&r);
    for (int i = 0; i < ROWS; i++) t->y[i] = answer(t->x + i * FEATURES);
}

static float exclusive_or(const float *x) { return (x[0] > 0.5f) != (x[2] > 0.5f); }
static float rises(const float *x) { return x[1] + 0.4f * sinf(40 * x[1]) > 0.6f; }
static float always(const float *x) { return x == NULL ? 0 : 1; }

static unsigned right(const struct trees *t, const struct table *of) {
    unsigned n = 0;
    for (int i = 0; i < ROWS; i++) n += (trees_predict(t, of->x + i * FEATURES) > 0) == (of->y[i] > 0.5f);
    return n;
}

TEST_FAULT(learns_what_no_line_can_part) {
    struct table learned, asked;
    struct trees *t = NULL;
    fill(&learned, 1, exclusive_or);
    fill(&asked, 2, exclusive_or);
    int rc = trees_train(&t, learned.x, learned.y, NULL, ROWS, FEATURES, &usual);
    if (FAULTED(rc)) {
        CHECK_PTR(t, NULL);
        return;
    }
    CHECK_INT(rc, 0);
    CHECK(right(t, &asked) > ROWS * 93 / 100);
    trees_free(t);
}

TEST(the_same_input_gives_the_same_trees) {
    struct table learned;
    struct buf first, second;
    buf_init(&first, 0);
    buf_init(&second, 0);
    fill(&learned, 1, exclusive_or);
    for (int i = 0; i < 2; i++) {
        struct trees *t = NULL;
        CHECK_INT(trees_train(&t, learned.x, learned.y, NULL, ROWS, FEATURES, &usual), 0);
        trees_write(t, i == 0 ? &first : &second);
        trees_free(t);
    }
    CHECK_SLICE(buf_get(&first), buf_get(&second));
    buf_deinit(&first);
    buf_deinit(&second);
}

TEST(monotone_is_monotone) {
    static const int8_t ways[FEATURES] = { 0, 1, 0, -1 };
    struct trees_options o = usual;
    struct table learned;
    struct trees *t = NULL;
    o.monotone = ways;
    fill(&learned, 3, rises);
    CHECK_INT(trees_train(&t, learned.x, learned.y, NULL, ROWS, FEATURES, &o), 0);
    float low = 0;
    for (int k = 0; k < 20; k++) {
        float x[FEATURES] = { 0.05f * (float)k, 0, 0.3f, 0.5f };
        for (int i = 0; i <= 200; i++) {
            x[1] = (float)i / 200;
            float z = trees_predict(t, x);
            if (i > 0) CHECK(z >= low);
            low = z;
        }
        for (int i = 0; i <= 200; i++) {
            x[3] = (float)i / 200;
            float z = trees_predict(t, x);
            if (i > 0) CHECK(z <= low);
            low = z;
        }
    }
    trees_free(t);
}

TEST(all_rows_alike) {
    struct table learned;
    struct trees *t = NULL;
    fill(&learned, 4, always);
    CHECK_INT(trees_train(&t, learned.x, learned.y, NULL, ROWS, FEATURES, &usual), 0);
    CHECK(trees_predict(t, learned.x) > 3);
    trees_free(t);
    for (int i = 0; i < ROWS * FEATURES; i++) learned.x[i] = 1;
    CHECK_INT(trees_train(&t, learned.x, learned.y, NULL, ROWS, FEATURES, &usual), 0);
    CHECK(isfinite(trees_predict(t, learned.x)));
    trees_free(t);
    CHECK_INT(trees_train(&t, learned.x, learned.y, NULL, 1, FEATURES, &usual), 0);
    trees_free(t);
    CHECK_INT(trees_train(&t, learned.x, learned.y, NULL, 0, FEATURES, &usual), PERILUNE_ERR_INVAL);
    CHECK_INT(trees_train(&t, learned.x, learned.y, NULL, ROWS, 65, &usual), PERILUNE_ERR_INVAL);
    CHECK_PTR(t, NULL);
}

/* A weight of 0 is no row. */
TEST(weights_count) {
    struct table learned;
    float weights[ROWS];
    struct trees *t = NULL;
    fill(&learned, 6, exclusive_or);
    for (int i = 0; i < ROWS; i++) weights[i] = learned.y[i] > 0.5f ? 1 : 0;
    CHECK_INT(trees_train(&t, learned.x, learned.y, weights, ROWS, FEATURES, &usual), 0);
    for (int i = 0; i < ROWS; i++) CHECK(trees_predict(t, learned.x + i * FEATURES) > 0);
    trees_free(t);
}

TEST_FAULT(a_file_says_what_was_written) {
    struct table learned;
    struct trees *t = NULL, *read = NULL;
    struct buf file;
    const char *why;
    buf_init(&file, 0);
    fill(&learned, 1, exclusive_or);
    int rc = trees_train(&t, learned.x, learned.y, NULL, ROWS, FEATURES, &usual);
    if (FAULTED(rc)) goto done;
    trees_write(t, &file);
    if (FAULTED(file.error)) goto done;
    rc = trees_read(&read, buf_get(&file), &why);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_UINT(trees_features(read), FEATURES);
    for (int i = 0; i < ROWS; i++)
        CHECK_DOUBLE(trees_predict(read, learned.x + i * FEATURES), trees_predict(t, learned.x + i * FEATURES));
done:
    trees_free(t);
    trees_free(read);
    buf_deinit(&file);
}

static void refused(struct slice bytes, const char *part) {
    struct trees *t;
    const char *why = NULL;
    CHECK_INT(trees_read(&t, bytes, &why), PERILUNE_ERR_INVAL);
    CHECK_PTR(t, NULL);
    if (part != NULL && strstr(why, part) == NULL) FAIL("'%s' is not '%s'", why, part);
}

TEST_NOFAULT(damaged_files_are_refused) {
    struct table learned;
    struct trees *t = NULL;
    struct buf file;
    struct trees_options o = usual;
    buf_init(&file, 0);
    o.rounds = 3;
    fill(&learned, 1, exclusive_or);
    CHECK_INT(trees_train(&t, learned.x, learned.y, NULL, ROWS, FEATURES, &o), 0);
    trees_write(t, &file);
    struct slice s = buf_get(&file);
    for (size_t n = 0; n < s.len; n++) refused(slice_of(s.ptr, n), n < 18 ? "no trees" : "cut off");
    char *bytes = mem_dup(s.ptr, s.len + 0);
    bytes[8] = 3; /* fewer features than are asked for, unless none asks for the last */
    bytes[18] = 9;
    refused(slice_of(bytes, s.len), "asks for what there is not");
    memcpy(bytes, s.ptr, s.len);
    memcpy(bytes + 19, "\xff\xff\xff\x7f", 4);
    refused(slice_of(bytes, s.len), "asks for what there is not");
    memcpy(bytes, s.ptr, s.len);
    memcpy(bytes + 18 + 7 * 5, "\0\0\x80\x7f", 4);
    refused(slice_of(bytes, s.len), "not a number");
    memcpy(bytes, s.ptr, s.len);
    bytes[10] = 7;
    refused(slice_of(bytes, s.len), "out of bounds");
    mem_free(bytes);
    buf_putc(&file, 0);
    refused(buf_get(&file), "behind");
    trees_free(t);
    buf_deinit(&file);
}

/* -- Head --------------------------------------------------------------------------------- */

#define DIMS  12
#define PAIRS 400

/* Same: equal in the first three numbers; what the others do means nothing. */
struct vectors {
    float        u[PAIRS][DIMS], v[PAIRS][DIMS], y[PAIRS];
    const float *us[PAIRS], *vs[PAIRS];
};

static void fill_vectors(struct vectors *v, uint64_t seed) {
    struct rng r;
    rng_seed(&r, seed);
    for (int i = 0; i < PAIRS; i++) {
        v->us[i] = v->u[i], v->vs[i] = v->v[i];
        v->y[i] = i % 2 == 0;
        for (int d = 0; d < DIMS; d++) {
            v->u[i][d] = (float)rng_double(&r) - 0.5f;
            v->v[i][d] = (float)rng_double(&r) - 0.5f;
            if (i % 2 == 0 && d < 3) v->v[i][d] = v->u[i][d] + 0.1f * ((float)rng_double(&r) - 0.5f);
        }
    }
}

TEST_FAULT(the_head_finds_the_directions_that_matter) {
    static struct vectors learned, asked;
    struct head *h = NULL, *read = NULL;
    struct buf file;
    const char *why = NULL;
    buf_init(&file, 0);
    fill_vectors(&learned, 1);
    fill_vectors(&asked, 2);
    int rc = head_train(&h, learned.us, learned.vs, learned.y, PAIRS, DIMS, 1);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    unsigned good = 0;
    for (int i = 0; i < PAIRS; i++) {
        float z = head_score(h, asked.u[i], asked.v[i]);
        good += (z > 0) == (asked.y[i] > 0.5f);
        CHECK_DOUBLE(z, head_score(h, asked.v[i], asked.u[i]));
    }
    CHECK(good > PAIRS * 93 / 100);
    head_write(h, &file);
    if (FAULTED(file.error)) goto done;
    rc = head_read(&read, buf_get(&file), &why);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_UINT(head_dims(read), DIMS);
    CHECK_DOUBLE(head_score(read, asked.u[0], asked.v[0]), head_score(h, asked.u[0], asked.v[0]));
done:
    head_free(h);
    head_free(read);
    buf_deinit(&file);
}

TEST_NOFAULT(a_damaged_head_is_refused) {
    static struct vectors learned;
    struct head *h, *read;
    struct buf file;
    const char *why;
    buf_init(&file, 0);
    fill_vectors(&learned, 1);
    CHECK_INT(head_train(&h, learned.us, learned.vs, learned.y, PAIRS, DIMS, 1), 0);
    head_write(h, &file);
    for (size_t n = 0; n < buf_len(&file); n++) {
        CHECK_INT(head_read(&read, slice_of(file.data, n), &why), PERILUNE_ERR_INVAL);
        CHECK_PTR(read, NULL);
    }
    memcpy(file.data + 20, "\0\0\x80\x7f", 4);
    CHECK_INT(head_read(&read, buf_get(&file), &why), PERILUNE_ERR_INVAL);
    CHECK_INT(head_train(&read, learned.us, learned.vs, learned.y, 0, DIMS, 1), PERILUNE_ERR_INVAL);
    head_free(h);
    buf_deinit(&file);
}

TEST_NOFAULT(little_endian) {
    struct buf b;
    buf_init(&b, 0);
    little_put_u16(&b, 0xBEEF);
    little_put_u32(&b, 0x01020304);
    little_put_f32(&b, 1.5f);
    CHECK_SLICE(buf_get(&b), slice_of("\xEF\xBE\x04\x03\x02\x01\0\0\xC0\x3F", 10));
    CHECK_UINT(little_u16(b.data), 0xBEEF);
    CHECK_UINT(little_u32(b.data + 2), 0x01020304);
    CHECK_DOUBLE(little_f32(b.data + 6), 1.5f);
    buf_deinit(&b);
}
