/* test_grams.c -- n-grams, and how rare they are. */
#include "semantic/grams.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

static float length_of(const struct grams *g) {
    float sum = 0;
    for (unsigned i = 0; i < g->count; i++) sum += g->items[i].weight * g->items[i].weight;
    return sqrtf(sum);
}

TEST_FAULT(reads) {
    static const struct {
        const char *text;
        unsigned    count;
    } cases[] = { { "", 0 }, { "a", 1 }, { "ab", 3 }, { "aa", 2 }, { "abcd", 10 }, { "abcde", 14 }, { "aaaaaaaa", 4 },
                  { "如何", 3 }, { "如何退款", 10 }, { "\xFF", 1 }, { "é", 1 } };
    struct grams g;
    grams_init(&g);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        NOTE("case %zu", i);
        CHECK_NOMEM(grams_read(&g, slice_str(cases[i].text)), done);
        CHECK_UINT(g.count, cases[i].count);
        for (unsigned k = 1; k < g.count; k++) CHECK(g.items[k - 1].hash < g.items[k].hash);
    }
    CHECK_NOMEM(grams_read(&g, SLICE("zzz")), done);
    float most = 0;
    for (unsigned k = 0; k < g.count; k++) most = fmaxf(most, g.items[k].weight);
    CHECK(fabsf(most - (1 + logf(3))) < 1e-5f);
done:
    grams_deinit(&g);
}

/* Against the plain way: all pieces, sorted by comparing. */
TEST(long_texts) {
    char text[4096];
    struct grams g;
    struct rng r;
    rng_seed(&r, 5);
    grams_init(&g);
    for (unsigned letters = 1; letters < 26; letters += 8) {
        for (size_t i = 0; i < sizeof(text); i++) text[i] = (char)('a' + rng_next(&r) % letters);
        CHECK_INT(grams_read(&g, slice_of(text, sizeof(text))), 0);
        double times = 0;
        for (unsigned k = 0; k < g.count; k++) {
            if (k > 0) CHECK(g.items[k - 1].hash < g.items[k].hash);
            times += exp(g.items[k].weight - 1.0);
        }
        CHECK(fabs(times - (4 * 4096 - 6)) < 2);
    }
    grams_deinit(&g);
}

static bool embed(struct grams *g, const char *text, const struct gram_counts *c, uint64_t scope) {
    if (grams_read(g, slice_str(text)) != 0) return false;
    grams_weigh(g, c, scope);
    return true;
}

TEST(cosines) {
    struct grams a, b;
    grams_init(&a);
    grams_init(&b);
    CHECK(embed(&a, "how do i reset my password", NULL, 0));
    CHECK(fabsf(length_of(&a) - 1) < 1e-5f);
    CHECK(fabsf(grams_cosine(&a, &a) - 1) < 1e-5f);
    CHECK(embed(&b, "how can i reset my password?", NULL, 0));
    float near = grams_cosine(&a, &b);
    CHECK(near > 0.5f && near < 1);
    CHECK(grams_cosine(&b, &a) == near);
    CHECK(embed(&b, "如何重置密码", NULL, 0));
    CHECK(grams_cosine(&a, &b) < 0.01f);
    CHECK(embed(&b, "", NULL, 0));
    CHECK(grams_cosine(&a, &b) == 0 && grams_cosine(&b, &b) == 0);
    grams_deinit(&a);
    grams_deinit(&b);
}

/* What all questions begin with says less than what one of them is about; without a text counted, too. */
TEST(the_prior_knows_what_is_common) {
    struct grams a, common, rare;
    grams_init(&a);
    grams_init(&common);
    grams_init(&rare);
    CHECK(embed(&a, "what is the kubelet", NULL, 0));
    CHECK(embed(&common, "what is the weather", NULL, 0));
    CHECK(embed(&rare, "tell me of kubelet", NULL, 0));
    CHECK(grams_cosine(&a, &rare) > 0.8f * grams_cosine(&a, &common));
    CHECK(embed(&a, "什么是容器", NULL, 0));
    CHECK(embed(&common, "什么是的", NULL, 0));
    CHECK(embed(&rare, "容器要", NULL, 0));
    CHECK(grams_cosine(&a, &rare) > 0.8f * grams_cosine(&a, &common));
    grams_deinit(&a);
    grams_deinit(&common);
    grams_deinit(&rare);
}

static float similarity(const struct gram_counts *c, uint64_t scope, const char *x, const char *y) {
    struct grams a, b;
    grams_init(&a);
    grams_init(&b);
    float got = embed(&a, x, c, scope) && embed(&b, y, c, scope) ? grams_cosine(&a, &b) : -1;
    grams_deinit(&a);
    grams_deinit(&b);
    CHECK(got >= 0);
    return got;
}

static bool add(struct gram_counts *c, uint64_t scope, const char *prefix, unsigned n, int by) {
    char text[80];
    struct grams g;
    struct rng r;
    grams_init(&g);
    for (unsigned i = 0; i < n; i++) {
        size_t len = strlen(prefix);
        memcpy(text, prefix, len);
        rng_seed(&r, i + 1);
        for (int k = 0; k < 12; k++) text[len++] = (char)('a' + rng_next(&r) % 26);
        text[len] = '\0';
        if (grams_read(&g, slice_str(text)) != 0) return false;
        gram_counts_add(c, scope, &g, by);
    }
    grams_deinit(&g);
    return true;
}

TEST(learns_what_is_rare) {
    static const char x[] = "zeppelin quux", y[] = "zeppelin fjord";
    struct gram_counts *c = gram_counts_new(16);
    CHECK(c != NULL);
    float before = similarity(c, 1, x, y);
    CHECK(before == similarity(NULL, 0, x, y));
    CHECK(add(c, 1, "zeppelin ", 300, 1));
    float after = similarity(c, 1, x, y);
    CHECK(after < 0.5f * before);               /* all texts have a zeppelin */
    CHECK(similarity(c, 2, x, y) > 0.95f * before); /* in this scope */
    CHECK(add(c, 1, "zeppelin ", 300, -1));
    CHECK(similarity(c, 1, x, y) == before);
    CHECK(add(c, 1, "zeppelin ", 3, -1)); /* that never came */
    CHECK(fabsf(similarity(c, 1, x, y) - before) < 0.01f);
    gram_counts_free(c);
}

/* Many other scopes, in few counters: a small one is told by the prior, not by the noise. */
TEST(a_full_array_says_little_of_a_small_scope) {
    static const char x[] = "zeppelin quux", y[] = "zeppelin fjord";
    struct gram_counts *c = gram_counts_new(10);
    CHECK(c != NULL);
    float before = similarity(c, 99, x, y);
    for (uint64_t scope = 0; scope < 20; scope++) CHECK(add(c, scope, "some question ", 50, 1));
    CHECK(fabsf(similarity(c, 99, x, y) - before) < 0.1f);
    gram_counts_free(c);
    gram_counts_free(NULL);
}

/* Years of other questions, in a few counters: what comes now is still learned. */
TEST_NOFAULT(what_is_old_fades) {
    static const char x[] = "zeppelin quux", y[] = "zeppelin fjord";
    struct gram_counts *c = gram_counts_new(12);
    CHECK(c != NULL);
    float before = similarity(c, 1, x, y);
    CHECK(add(c, 1, "zeppelin ", 100, 1));
    CHECK(similarity(c, 1, x, y) < 0.8f * before);
    for (uint64_t scope = 100; scope < 140; scope++) CHECK(add(c, scope, "some question ", 2000, 1));
    float faded = similarity(c, 1, x, y);
    CHECK(fabsf(faded - before) < 0.1f * before);
    CHECK(add(c, 1, "zeppelin ", 300, 1));
    CHECK(similarity(c, 1, x, y) < 0.6f * before);
    gram_counts_free(c);
}

TEST_FAULT(without_memory) {
    struct gram_counts *c = gram_counts_new(1);
    if (FAULTED(c)) return;
    gram_counts_free(c);
}

TEST(projections_keep_angles) {
    static const char *const texts[] = { "how do i reset my password", "how can i reset my password?",
                                         "where is the nearest station of the railway", "如何重置我的密码",
                                         "怎么重置我的密码呢" };
    enum { N = 5, DIMS = 128 };
    float out[N][DIMS] = { { 0 } };
    struct grams g[N];
    for (int i = 0; i < N; i++) {
        grams_init(&g[i]);
        CHECK(embed(&g[i], texts[i], NULL, 0));
        grams_project(&g[i], out[i], DIMS);
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            float dot = 0;
            for (int d = 0; d < DIMS; d++) dot += out[i][d] * out[k][d];
            NOTE("%d %d: %f for %f", i, k, (double)dot, (double)grams_cosine(&g[i], &g[k]));
            CHECK(fabsf(dot - grams_cosine(&g[i], &g[k])) < 0.4f);
        }
    for (int i = 0; i < N; i++) grams_deinit(&g[i]);
}

static void *count_some(void *arg) {
    for (int i = 0; i < 20; i++) {
        if (!add(arg, 7, "from all threads ", 20, 1)) return arg;
        if (!add(arg, 7, "from all threads ", 20, -1)) return arg;
    }
    return NULL;
}

TEST_NOFAULT(threads_count_at_once) {
    struct gram_counts *c = gram_counts_new(12);
    pthread_t t[4];
    void *failed;
    CHECK(c != NULL);
    CHECK(add(c, 7, "zeppelin ", 100, 1));
    float before = similarity(c, 7, "zeppelin one", "zeppelin two");
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&t[i], NULL, count_some, c), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(pthread_join(t[i], &failed), 0);
        CHECK_PTR(failed, NULL);
    }
    CHECK(fabsf(similarity(c, 7, "zeppelin one", "zeppelin two") - before) < 0.05f);
    gram_counts_free(c);
}
