/* test_index.c -- which of many vectors is nearest. */
#include "unit.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "store/index.h"
#include "store/index_kernel.h"

#define DIMS 128
#define ROWS 19 /* whose bits are compared at once: twice eight, and some */

static struct hash128 key_of(uint64_t n) { return (struct hash128){ n * 0x9E3779B97F4A7C15u, n * 0xBF58476D1CE4E5B9u }; }

static void random_vector(struct rng *r, float *v, unsigned dims) {
    for (unsigned i = 0; i < dims; i++) v[i] = (float)(rng_double(r) + rng_double(r) + rng_double(r) - 1.5);
}

/* The vector of a number: the same each time. */
static void vector_of(uint64_t n, float *v) {
    struct rng r;
    rng_seed(&r, n + 1);
    random_vector(&r, v, DIMS);
}

static float cosine(const float *a, const float *b) {
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < DIMS; i++) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
    return (float)(ab / sqrt(aa * bb));
}

TEST_NOFAULT(all_kernels_say_the_same) {
    static const char *const names[] = { "avx512vnni", "avx2", "neon", "c" };
    int8_t a[1024], b[1024];
    struct rng r;
    rng_seed(&r, 7);
    for (int round = 0; round < 200; round++) {
        size_t n = 64 * (1 + rng_next(&r) % 16);
        int32_t sum = 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = round == 0 ? -127 : (int8_t)(rng_next(&r) % 255 - 127);
            b[i] = round == 0 ? 127 : (int8_t)(rng_next(&r) % 255 - 127);
            sum += a[i] * b[i];
        }
        for (int k = 0; k < 4; k++) {
            const struct index_kernel *kernel = index_kernel_find(names[k]);
            if (kernel == NULL) continue;
            CHECK_INT(kernel->dot(a, b, n), sum);
            uint64_t q[6], rows[ROWS * 6];
            uint16_t far[ROWS];
            size_t words = 1 + (size_t)round % 6;
            for (int i = 0; i < ROWS * 6; i++) rows[i] = rng_next(&r);
            for (int i = 0; i < 6; i++) q[i] = rng_next(&r);
            kernel->distances(q, rows, words, ROWS, far);
            for (size_t i = 0; i < ROWS; i++) {
                int bits = 0;
                for (size_t w = 0; w < words; w++)
                    for (int bit = 0; bit < 64; bit++) bits += (q[w] ^ rows[i * words + w]) >> bit & 1;
                CHECK_INT(far[i], bits);
            }
        }
    }
    CHECK(index_kernel_find("c") != NULL);
    CHECK(index_kernel_find("none") == NULL);
}

TEST_FAULT(finds_what_was_added) {
    struct index *x = index_new(DIMS, 1 << 20);
    float v[DIMS];
    struct index_hit hits[3];
    if (FAULTED(x)) return;
    for (uint64_t n = 0; n < 20; n++) {
        vector_of(n, v);
        int rc = index_add(x, key_of(1000), key_of(n), v);
        if (FAULTED(rc)) goto done;
        CHECK_INT(rc, 0);
    }
    for (uint64_t n = 0; n < 20; n++) {
        vector_of(n, v);
        for (int i = 0; i < DIMS; i++) v[i] *= 3; /* length does not matter */
        CHECK_INT(index_search(x, key_of(1000), v, hits, 3), 3);
        CHECK_INT(hits[0].key.low, key_of(n).low);
        CHECK(fabsf(hits[0].score - 1) < 0.001f);
        CHECK(hits[0].score >= hits[1].score && hits[1].score >= hits[2].score);
    }
    CHECK_INT(index_search(x, key_of(1001), v, hits, 3), 0); /* another part */
done:
    index_free(x);
}

/* Arrays that could not be made smaller are no excuse for one that was. */
TEST_FAULT(what_is_removed_leaves_room_for_others) {
    struct index *x = index_new(64, 1 << 20);
    struct index_hit hits[4];
    float v[64] = { 0 };
    if (FAULTED(x)) return;
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 64; i++) {
            struct hash128 key = { i, i };
            memset(v, 0, sizeof(v));
            v[i] = 1;
            int rc = index_add(x, key_of(0), key, v);
            if (!FAULTED(rc)) CHECK_INT(rc, 0);
            if (rc != 0) continue;
            CHECK_UINT(index_search(x, key_of(0), v, hits, 1), 1);
            CHECK_UINT(hits[0].key.low, i);
        }
        for (uint64_t i = 3; i < 64; i++) index_remove(x, key_of(0), (struct hash128){ i, i });
    }
    index_free(x);
}

TEST(scores_are_cosines) {
    struct index *x = index_new(DIMS, 1 << 20);
    float v[DIMS], w[DIMS];
    struct index_hit hit;
    CHECK(x != NULL);
    vector_of(1, v);
    CHECK_INT(index_add(x, key_of(0), key_of(1), v), 0);
    for (uint64_t n = 2; n < 200; n++) {
        vector_of(n, w);
        for (int i = 0; i < DIMS; i++) w[i] = v[i] * (float)n / 50 + w[i];
        CHECK_INT(index_search(x, key_of(0), w, &hit, 1), 1);
        CHECK(fabsf(hit.score - cosine(v, w)) < 0.006f);
    }
    index_free(x);
}

TEST(what_has_no_direction_is_refused) {
    struct index *x = index_new(DIMS, 1 << 20);
    float v[DIMS] = { 0 };
    struct index_hit hit;
    CHECK(x != NULL);
    CHECK(index_new(100, 1) == NULL && index_new(0, 1) == NULL && index_new(INDEX_MAX_DIMS + 64, 1) == NULL);
    CHECK_INT(index_add(x, key_of(0), key_of(1), v), PERILUNE_ERR_INVAL);
    v[3] = NAN;
    CHECK_INT(index_add(x, key_of(0), key_of(1), v), PERILUNE_ERR_INVAL);
    v[3] = INFINITY;
    CHECK_INT(index_add(x, key_of(0), key_of(1), v), PERILUNE_ERR_INVAL);
    CHECK_INT(index_search(x, key_of(0), v, &hit, 1), 0);
    CHECK(!index_remove(x, key_of(0), key_of(1)));
    v[3] = 1e-30f;
    CHECK_INT(index_add(x, key_of(0), key_of(1), v), 0);
    CHECK_INT(index_search(x, key_of(0), v, &hit, 1), 1);
    CHECK(hit.score > 0.99f);
    index_free(x);
}

TEST(the_limit_holds_and_memory_comes_back) {
    struct index *x = index_new(DIMS, 64 * 1024);
    struct index_stats s;
    float v[DIMS];
    uint64_t n = 0;
    int rc = 0;
    CHECK(x != NULL);
    for (; n < 1000 && rc == 0; n++) {
        vector_of(n, v);
        rc = index_add(x, key_of(n % 3), key_of(n), v);
        index_count(x, &s);
        CHECK(s.bytes <= 64 * 1024);
    }
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    CHECK(s.vectors > 100);
    for (uint64_t i = 0; i < n; i++) index_remove(x, key_of(i % 3), key_of(i));
    index_count(x, &s);
    CHECK_INT(s.vectors, 0);
    CHECK_INT(s.parts, 0);
    CHECK_INT(s.bytes, 0);
    index_free(x);
}

/* Clusters, as questions come: many that are alike.  Ten times as many go as stay. */
TEST_NOFAULT(recall_does_not_drift) {
    enum { LIVE = 6000, TURNS = 10 };
    struct index *x = index_new(DIMS, 64 << 20);
    float v[DIMS], w[DIMS];
    struct index_hit hit;
    CHECK(x != NULL);
    for (uint64_t n = 0; n < LIVE * TURNS; n++) {
        vector_of(n / 3, v); /* three of a kind */
        vector_of(n + 1000000, w);
        for (int i = 0; i < DIMS; i++) v[i] += 0.7f * w[i];
        CHECK_INT(index_add(x, key_of(0), key_of(n), v), 0);
        if (n >= LIVE) CHECK(index_remove(x, key_of(0), key_of(n - LIVE)));
    }
    int found = 0, asked = 0;
    for (uint64_t n = LIVE * (TURNS - 1); n < LIVE * TURNS; n += 7, asked++) {
        vector_of(n / 3, v);
        vector_of(n + 1000000, w);
        for (int i = 0; i < DIMS; i++) v[i] += 0.7f * w[i];
        vector_of(n + 9000000, w);
        for (int i = 0; i < DIMS; i++) v[i] += 0.2f * w[i]; /* asked a little differently */
        CHECK_INT(index_search(x, key_of(0), v, &hit, 1), 1);
        found += hit.key.low == key_of(n).low;
    }
    CHECK(found >= asked * 99 / 100);
    index_free(x);
}

static void *hammer(void *arg) {
    struct index *x = arg;
    float v[DIMS];
    struct index_hit hits[4];
    struct rng r;
    rng_seed(&r, 0);
    for (int i = 0; i < 3000; i++) {
        uint64_t n = rng_next(&r) % 500;
        vector_of(n, v);
        switch (rng_next(&r) % 4) {
        case 0: index_add(x, key_of(n % 2), key_of(n), v); break;
        case 1: index_remove(x, key_of(n % 2), key_of(n)); break;
        default: {
            unsigned count = index_search(x, key_of(n % 2), v, hits, 4);
            for (unsigned k = 1; k < count; k++)
                if (hits[k].score > hits[k - 1].score) return (void *)1;
        }
        }
    }
    return NULL;
}

TEST_NOFAULT(many_threads) {
    struct index *x = index_new(DIMS, 4 << 20);
    pthread_t threads[4];
    CHECK(x != NULL);
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&threads[i], NULL, hammer, x), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        CHECK(wrong == NULL);
    }
    index_free(x);
}
