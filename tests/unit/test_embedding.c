/* test_embedding.c -- the embedder that is built in. */
#include "semantic/embedding.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "include/perilune.h"
#include "semantic/normal.h"
#include "unit.h"

static float dot(const float *a, const float *b, unsigned n) {
    float sum = 0;
    for (unsigned i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

TEST_FAULT(embeds) {
    struct gram_counts *c = gram_counts_new(12);
    struct embedder *e = embedder_new(NULL, c);
    struct embedded_text a, b;
    embedded_text_init(&a);
    embedded_text_init(&b);
    if (FAULTED(c) || FAULTED(e)) goto done;
    CHECK_UINT(embedder_dims(e) % 64, 0);
    CHECK_UINT(embedder_meaning(e), static_table_dims(static_table_builtin()));
    CHECK(embedder_dims(e) >= embedder_meaning(e) + 64);
    struct slice text = SLICE("how do i reset my password?");
    CHECK_NOMEM(embedder_embed(e, 1, text, &a), done);
    CHECK_SLICE(a.normal, text);
    CHECK(fabsf(dot(a.vector, a.vector, embedder_dims(e)) - 1) < 1e-4f);
    CHECK(fabsf(dot(a.meaning, a.meaning, embedder_meaning(e)) - 1) < 1e-4f);
    CHECK(fabsf(embedder_similarity(e, &a, &a) - 1) < 1e-4f);
    gram_counts_add(c, 1, &a.grams, 1);
    CHECK_NOMEM(embedder_embed(e, 1, SLICE("how can i reset my password"), &b), done);
    float near = embedder_similarity(e, &a, &b);
    CHECK(near > 0.2f && near < 1);
    CHECK(embedder_similarity(e, &b, &a) == near);
    CHECK_NOMEM(embedder_embed(e, 1, SLICE("如何退款"), &b), done); /* the same struct again */
    CHECK(embedder_similarity(e, &a, &b) < near);
done:
    embedded_text_deinit(&a);
    embedded_text_deinit(&b);
    embedder_free(e);
    gram_counts_free(c);
}

TEST(what_says_nothing_is_near_to_nothing) {
    struct embedder *e = embedder_new(NULL, NULL);
    struct embedded_text a, b;
    embedded_text_init(&a);
    embedded_text_init(&b);
    CHECK(e != NULL);
    CHECK_INT(embedder_embed(e, 0, SLICE(""), &a), 0);
    CHECK_INT(embedder_embed(e, 0, SLICE("a question"), &b), 0);
    CHECK(dot(a.vector, a.vector, embedder_dims(e)) == 0);
    CHECK(embedder_similarity(e, &a, &b) == 0 && embedder_similarity(e, &a, &a) == 0);
    embedded_text_deinit(&a);
    embedded_text_deinit(&b);
    embedder_free(e);
    embedder_free(NULL);
}

/* What an index compares is about what is asked for in the end. */
TEST(products_are_about_similarities) {
    static const char *const texts[] = { "how do i reset my password", "how can i reset the password of my account?",
                                         "what is the capital of france", "which city is the capital of france?",
                                         "怎么重置我的密码", "如何重置密码呢" };
    enum { N = 6 };
    struct embedder *e = embedder_new(NULL, NULL);
    struct embedded_text t[N];
    CHECK(e != NULL);
    for (int i = 0; i < N; i++) {
        embedded_text_init(&t[i]);
        CHECK_INT(embedder_embed(e, 0, slice_str(texts[i]), &t[i]), 0);
    }
    for (int i = 0; i < N; i += 2) {
        float product = dot(t[i].vector, t[i + 1].vector, embedder_dims(e));
        CHECK(fabsf(product - embedder_similarity(e, &t[i], &t[i + 1])) < 0.2f);
    }
    for (int i = 0; i < N; i++) embedded_text_deinit(&t[i]);
    embedder_free(e);
}

/* A table of an odd size: the vector is filled up. */
TEST(tables_of_other_sizes) {
    struct buf file;
    struct static_table *table;
    struct failure f;
    failure_init(&f);
    buf_init(&file, 0);
    buf_put(&file, "PLROWS1\n\1\0\0\0\60\0\0\0\5\0\0\0\0\0\200\77", 24);
    for (int i = 0; i < 48; i++) buf_putc(&file, (char)(i - 20));
    CHECK_INT(static_table_open(&table, buf_get(&file), &f), 0);
    struct embedder *e = embedder_new(table, NULL);
    struct embedded_text t;
    embedded_text_init(&t);
    CHECK(e != NULL);
    CHECK_UINT(embedder_meaning(e), 48);
    CHECK_UINT(embedder_dims(e), 192);
    CHECK_INT(embedder_embed(e, 0, SLICE("text"), &t), 0);
    for (unsigned i = 176; i < 192; i++) CHECK(t.vector[i] == 0);
    embedded_text_deinit(&t);
    embedder_free(e);
    static_table_close(table);
    failure_deinit(&f);
    buf_deinit(&file);
}
