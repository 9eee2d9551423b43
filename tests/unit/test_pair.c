/* test_pair.c -- do two questions ask the same: atoms, features, training, files. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "semantic/normal.h"
#include "semantic/pair_model.h"
#include "semantic/phrases.h"
#include "semantic/semantic.h"

/* -- Atoms ------------------------------------------------------------------------------ */

TEST_NOFAULT(phrases_ascend) {
    for (size_t i = 1; i < phrase_count; i++)
        if (strcmp(phrases[i - 1].text, phrases[i].text) >= 0) FAIL("'%s' comes before '%s'", phrases[i - 1].text, phrases[i].text);
    for (size_t i = 0; i < phrase_count; i++) {
        CHECK_INT(phrases[i].kind == PHRASE_FILLER, phrases[i].means[0] == '\0');
        CHECK(strlen(phrases[i].text) <= 3 * PHRASE_LONGEST || (unsigned char)phrases[i].text[0] < 0x80);
    }
}

/* Do both mean the same, word for word? */
static bool same_meaning(const char *a, const char *b) {
    struct atom x[64], y[64];
    unsigned i = 0, k = 0, n = atoms_read(slice_str(a), x, 64), m = atoms_read(slice_str(b), y, 64);
    for (;;) {
        while (i < n && x[i].means == 0) i++;
        while (k < m && y[k].means == 0) k++;
        if (i == n || k == m) return i == n && k == m;
        if (x[i++].means != y[k++].means) return false;
    }
}

TEST_NOFAULT(other_words_for_the_same) {
    CHECK(same_meaning("请问如何退款呢?", "怎么退款"));
    CHECK(same_meaning("这个多少钱", "价格"));
    CHECK(same_meaning("how can i purchase the tickets", "how can i buy a ticket, please"));
    CHECK(!same_meaning("怎么退款", "怎么退货"));
    CHECK(!same_meaning("怎么退款", "为什么退款"));
    CHECK(!same_meaning("how do i log in", "how do i log out"));
}

TEST_NOFAULT(atoms_of_all_kinds) {
    struct atom a[16];
    CHECK_UINT(atoms_read(SLICE("iphone 6s 刷机! \xff"), a, 16), 5);
    CHECK_INT(a[0].kind, ATOM_WORD);
    CHECK_INT(a[1].kind, ATOM_NUMBER);
    CHECK_INT(a[2].kind, ATOM_WORD);
    CHECK_INT(a[3].kind, ATOM_HAN);
    CHECK_UINT(a[4].at, 13);
    CHECK_UINT(atoms_read(SLICE(""), a, 16), 0);
    CHECK_UINT(atoms_read(SLICE("一二三四五六七"), a, 3), 3);
    CHECK_UINT(atoms_read(SLICE("请问一下"), a, 2), 2); /* a phrase is cut, too */
}

/* -- Features ----------------------------------------------------------------------------- */

struct texts {
    struct embedder     *embedder;
    struct embedded_text a, b;
};

static int embed(struct texts *t, const char *a, const char *b) {
    embedded_text_init(&t->a);
    embedded_text_init(&t->b);
    t->embedder = embedder_new(NULL, NULL);
    if (t->embedder == NULL) return PERILUNE_ERR_NOMEM;
    int rc = embedder_embed(t->embedder, 1, slice_str(a), &t->a);
    return rc == 0 ? embedder_embed(t->embedder, 1, slice_str(b), &t->b) : rc;
}

static void forget(struct texts *t) {
    embedded_text_deinit(&t->a);
    embedded_text_deinit(&t->b);
    embedder_free(t->embedder);
}

static void features(const char *a, const char *b, struct pair_features *out) {
    struct texts t;
    struct pair_features back;
    CHECK_INT(embed(&t, a, b), 0);
    pair_features(&t.a, &t.b, NULL, out);
    pair_features(&t.b, &t.a, NULL, &back);
    for (int i = 0; i < PAIR_FEATURES; i++) {
        CHECK(isfinite(out->x[i]));
        CHECK_DOUBLE(out->x[i], back.x[i]);
    }
    CHECK_UINT(out->difference_count, back.difference_count);
    uint64_t sum = 0;
    for (unsigned i = 0; i < out->difference_count; i++) sum += out->differences[i] - (uint64_t)back.differences[i];
    CHECK_UINT(sum, 0);
    forget(&t);
}

TEST(features_say_what_they_are_called) {
    struct pair_features f;
    features("如何申请退款", "请问怎么申请换货", &f);
    CHECK_DOUBLE(f.x[PAIR_HUNKS], 1);
    CHECK(f.x[PAIR_EXCHANGED] > 0);
    CHECK_DOUBLE(f.x[PAIR_INSERTED], 0);
    CHECK_DOUBLE(f.x[PAIR_QUESTIONS], 0);
    CHECK_DOUBLE(f.x[PAIR_HAN_ALONE], 4);
    CHECK(f.difference_count > 0);
    features("如何申请退款", "请问怎么申请退款呢?", &f);
    CHECK_DOUBLE(f.x[PAIR_MEANS_SHARED], 1);
    CHECK_DOUBLE(f.x[PAIR_MEANS_EDITS], 0);
    CHECK_DOUBLE(f.x[PAIR_HUNKS], 0);
    CHECK_UINT(f.difference_count, 0);
    features("from berlin to paris", "from paris to berlin", &f);
    CHECK_DOUBLE(f.x[PAIR_MEANS_SHARED], 1);
    CHECK(f.x[PAIR_MEANS_ORDER] < 1);
    features("iphone 6 多少钱", "iphone 7 多久", &f);
    CHECK_DOUBLE(f.x[PAIR_NUMBERS_ALONE], 2);
    CHECK_DOUBLE(f.x[PAIR_QUESTIONS], 2);
    features("is it not open", "is it open", &f);
    CHECK_DOUBLE(f.x[PAIR_NEGATIONS], 1);
}

TEST(texts_of_all_kinds_can_be_compared) {
    static const char *const all[] = { "", " ", "?", "a", "一", "\xff\xfe", "的的的的", "0", "a b c d e f g h i j k l m n",
                                       "怎么", "จะทำอย่างไร", "как дела", "😀😀", "что 怎么 how 3.14 — a_b-c/d.e" };
    unsigned n = sizeof(all) / sizeof(*all);
    struct pair_features f;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < n; k++) {
            NOTE("%u and %u", i, k);
            features(all[i], all[k], &f);
        }
}

/* -- Training ------------------------------------------------------------------------------- */

#define THINGS 12
#define PAIRS  180

static const char *const things[THINGS] = { "手机", "电脑", "冰箱", "空调", "汽车", "耳机",
                                            "phone case", "fridge", "laptop", "camera", "printer", "guitar" };

struct lesson {
    struct embedder    *embedder;
    char                texts[2 * PAIRS][96];
    struct embedded_text embedded[2 * PAIRS];
    float               vectors[2 * PAIRS][8];
    struct pair_example examples[PAIRS];
};

/* The same: asked in another way.  Different: about something else, or asking something else. */
static void write_pair(struct lesson *l, unsigned i) {
    const char *x = things[i % THINGS], *y = things[(i + 1 + i / THINGS % (THINGS - 1)) % THINGS];
    char *a = l->texts[2 * i], *b = l->texts[2 * i + 1];
    size_t n = sizeof(l->texts[0]);
    snprintf(a, n, "%s怎么修 %u", x, i);
    if (i % 3 == 0) snprintf(b, n, "请问如何修%s呢 %u", x, i);
    else if (i % 3 == 1) snprintf(b, n, "%s怎么修 %u", y, i);
    else snprintf(b, n, "%s多少钱 %u", x, i);
    l->examples[i].same = i % 3 == 0;
}

/* NULL: no memory. */
static struct lesson *lesson_new(unsigned dims) {
    struct lesson *l = mem_zalloc(sizeof(*l));
    if (l == NULL) return NULL;
    l->embedder = embedder_new(NULL, NULL);
    int rc = l->embedder != NULL ? 0 : PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; rc == 0 && i < PAIRS; i++) write_pair(l, i);
    for (unsigned i = 0; rc == 0 && i < 2 * PAIRS; i++) {
        rc = embedder_embed(l->embedder, 1, slice_str(l->texts[i]), &l->embedded[i]);
        for (int d = 0; d < 8; d++) l->vectors[i][d] = l->texts[i][d % 6] > 0 ? 0.5f : -0.5f;
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        l->examples[i].a = &l->embedded[2 * i], l->examples[i].b = &l->embedded[2 * i + 1];
        if (dims > 0) l->examples[i].va = l->vectors[2 * i], l->examples[i].vb = l->vectors[2 * i + 1];
    }
    if (rc == 0) return l;
    for (unsigned i = 0; i < 2 * PAIRS; i++) embedded_text_deinit(&l->embedded[i]);
    embedder_free(l->embedder);
    mem_free(l);
    return NULL;
}

static void lesson_free(struct lesson *l) {
    if (l == NULL) return;
    for (unsigned i = 0; i < 2 * PAIRS; i++) embedded_text_deinit(&l->embedded[i]);
    embedder_free(l->embedder);
    mem_free(l);
}

static struct pair_model *trained(const struct lesson *l, unsigned dims) {
    struct pair_training how = { .embedder = dims > 0 ? "eight" : NULL, .dims = dims, .rounds = 20 };
    struct pair_model *m;
    struct failure f;
    failure_init(&f);
    int rc = pair_model_train(&m, l->examples, PAIRS, &how, NULL, &f);
    if (rc != 0) CHECK_PTR(m, NULL);
    failure_deinit(&f);
    return m;
}

TEST(learns_from_pairs) {
    struct lesson *l = lesson_new(0);
    CHECK(l != NULL);
    struct pair_model *m = trained(l, 0);
    CHECK(m != NULL);
    const struct pair_curve *c = pair_model_curve(m);
    CHECK_UINT(c->same, PAIRS / 3);
    CHECK_UINT(c->different, PAIRS - PAIRS / 3);
    for (unsigned i = 0; i < PAIR_CURVE; i++)
        if (fabsf(c->points[i].share - 0.05f) < 1e-6f) CHECK(c->points[i].found > 0.9f);
    for (unsigned i = 1; i < PAIR_CURVE; i++) CHECK(c->points[i].threshold <= c->points[i - 1].threshold);
    CHECK(pair_threshold(m, 0.01) >= pair_threshold(m, 0.05));
    CHECK(pair_threshold(m, -1) > 1);
    CHECK_UINT(pair_model_dims(m), 0);
    for (unsigned i = 0; i < PAIRS; i++) {
        const struct pair_example *e = &l->examples[i];
        float s = pair_score(m, e->a, e->b, NULL, NULL, 0);
        CHECK(s >= 0 && s <= 1);
        CHECK_DOUBLE(pair_score(m, e->b, e->a, NULL, NULL, 0), s);
        CHECK_DOUBLE(pair_score(m, e->a, e->a, NULL, NULL, 0), 1);
    }
    pair_model_close(m);
    lesson_free(l);
}

TEST(another_embedder) {
    struct lesson *l = lesson_new(8);
    CHECK(l != NULL);
    struct pair_model *m = trained(l, 8);
    CHECK(m != NULL);
    CHECK_STR(pair_model_embedder(m), "eight");
    CHECK_UINT(pair_model_dims(m), 8);
    const struct pair_example *e = &l->examples[0];
    CHECK(pair_score(m, e->a, e->b, e->va, e->vb, 8) > 0.5f);
    CHECK_DOUBLE(pair_score(m, e->a, e->b, NULL, NULL, 0), 0); /* it does not guess */
    CHECK_DOUBLE(pair_score(m, e->a, e->b, e->va, e->vb, 7), 0);
    pair_model_close(m);
    lesson_free(l);
}

TEST_FAULT(without_memory_nothing_is_lost) {
    struct lesson *l = lesson_new(0);
    if (FAULTED(l)) return;
    struct pair_training how = { .rounds = 2 };
    struct pair_model *m;
    struct failure f;
    failure_init(&f);
    int rc = pair_model_train(&m, l->examples, 60, &how, NULL, &f);
    if (FAULTED(rc)) CHECK_PTR(m, NULL);
    else CHECK_INT(rc, 0);
    pair_model_close(m);
    failure_deinit(&f);
    lesson_free(l);
}

TEST(too_few_pairs_are_refused) {
    struct lesson *l = lesson_new(0);
    struct pair_training how = { .rounds = 2 };
    struct pair_model *m;
    struct failure f;
    CHECK(l != NULL);
    failure_init(&f);
    CHECK_INT(pair_model_train(&m, l->examples, 30, &how, NULL, &f), PERILUNE_ERR_INVAL);
    CHECK_STR(f.message, "10 pairs are the same and 20 are different; at least 20 of each are needed");
    how.dims = 8;
    CHECK_INT(pair_model_train(&m, l->examples, PAIRS, &how, NULL, &f), PERILUNE_ERR_INVAL);
    CHECK_STR(f.message, "pair 1 has no vectors");
    CHECK_PTR(m, NULL);
    failure_deinit(&f);
    lesson_free(l);
}

/* All pairs share a question: there is nothing to judge by what others taught. */
TEST(pairs_that_are_all_connected) {
    struct lesson *l = lesson_new(0);
    CHECK(l != NULL);
    for (unsigned i = 0; i < PAIRS; i++) l->examples[i].a = &l->embedded[0];
    struct pair_model *m = trained(l, 0);
    CHECK(m != NULL);
    pair_model_close(m);
    lesson_free(l);
}

/* -- Files --------------------------------------------------------------------------------------- */

TEST_FAULT(a_model_is_read_as_it_was_written) {
    struct lesson *l = lesson_new(0);
    struct pair_model *m = NULL, *read = NULL;
    struct buf file;
    struct failure f;
    buf_init(&file, 0);
    failure_init(&f);
    if (FAULTED(l)) return;
    m = trained(l, 0);
    if (FAULTED(m)) goto done;
    pair_model_write(m, &file);
    if (FAULTED(file.error)) goto done;
    int rc = pair_model_open(&read, buf_get(&file), &f);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    for (unsigned i = 0; i < PAIRS; i++) {
        const struct pair_example *e = &l->examples[i];
        CHECK_DOUBLE(pair_score(read, e->a, e->b, NULL, NULL, 0), pair_score(m, e->a, e->b, NULL, NULL, 0));
    }
    CHECK_DOUBLE(pair_threshold(read, 0.05), pair_threshold(m, 0.05));
done:
    pair_model_close(m);
    pair_model_close(read);
    buf_deinit(&file);
    failure_deinit(&f);
    lesson_free(l);
}

TEST_NOFAULT(damaged_models_are_refused) {
    struct lesson *l = lesson_new(0);
    struct pair_model *m = trained(l, 0), *read;
    struct buf file;
    struct failure f;
    struct rng r;
    rng_seed(&r, 9);
    buf_init(&file, 0);
    pair_model_write(m, &file);
    for (size_t n = 0; n < buf_len(&file); n += n < 2000 ? 1 : 97) {
        failure_init(&f);
        CHECK_INT(pair_model_open(&read, slice_of(file.data, n), &f), PERILUNE_ERR_INVAL);
        CHECK_PTR(read, NULL);
        CHECK(f.message[0] != '\0');
        failure_deinit(&f);
    }
    for (int i = 0; i < 500; i++) {
        size_t at = rng_next(&r) % buf_len(&file);
        char bit = (char)(1 << rng_next(&r) % 8);
        file.data[at] ^= bit;
        failure_init(&f);
        CHECK_INT(pair_model_open(&read, buf_get(&file), &f), PERILUNE_ERR_INVAL);
        failure_deinit(&f);
        file.data[at] ^= bit;
    }
    pair_model_close(m);
    buf_deinit(&file);
    lesson_free(l);
}

/* -- The one inside the program ---------------------------------------------------------------------- */

TEST_FAULT(the_model_that_ships) {
    const struct pair_model *m = pair_model_builtin();
    if (FAULTED(m)) return;
    CHECK(m != NULL);
    CHECK_PTR(pair_model_builtin(), m);
    CHECK_UINT(pair_model_dims(m), 0);
    CHECK(pair_threshold(m, 0.01) < 1);
    CHECK(pair_model_is_of(m, static_table_builtin())); /* else train it again: table/README.md */
    pair_model_forget_builtin();
}

static float score_of(const char *a, const char *b) {
    struct texts t;
    CHECK_INT(embed(&t, a, b), 0);
    float s = pair_score(pair_model_builtin(), &t.a, &t.b, NULL, NULL, 0);
    CHECK_DOUBLE(pair_score(pair_model_builtin(), &t.b, &t.a, NULL, NULL, 0), s);
    forget(&t);
    return s;
}

TEST_NOFAULT(it_knows_some) {
    CHECK(score_of("请问如何申请退款呢?", "怎么申请退款") > score_of("怎么申请退款", "怎么申请换货"));
    CHECK(score_of("how do i reset my password?", "how can i reset the password") >
          score_of("how do i reset my password?", "how do i reset my router"));
    CHECK(score_of("今天天气怎么样", "如何办理护照") < 0.1f);
    CHECK_DOUBLE(score_of("", ""), 1);
    CHECK(score_of("", "怎么申请退款") < 1);
    pair_model_forget_builtin();
}

/* -- Bounds --------------------------------------------------------------------------------------------- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill_text(char *to, size_t len, unsigned kind, struct rng *r) {
    static const char *const han[] = { "怎", "么", "退", "款", "的", "电" };
    for (size_t i = 0; i + 3 <= len;) {
        uint64_t x = rng_next(r);
        if (kind == 0) memcpy(to + i, han[x % 6], 3), i += 3;
        else if (kind == 1) to[i] = i % 2 ? ' ' : (char)('a' + x % 26), i++;
        else if (kind == 2) to[i++] = 'a';
        else to[i++] = (char)(x >> 8);
    }
}

TEST_NOFAULT(long_texts_take_bounded_time) {
    char a[SEMANTIC_MAX_TEXT + 8] = "", b[SEMANTIC_MAX_TEXT + 8] = "";
    struct rng r;
    rng_seed(&r, 4);
    for (unsigned kind = 0; kind < 4; kind++) {
        fill_text(a, SEMANTIC_MAX_TEXT, kind, &r);
        fill_text(b, SEMANTIC_MAX_TEXT, kind, &r);
        double start = seconds();
        (void)score_of(a, b);
        CHECK(seconds() - start < 1); /* a few milliseconds; sanitizers are slow */
    }
    /* Equal as far as atoms are read, and different behind that. */
    for (int i = 0; i < SEMANTIC_MAX_TEXT - 2; i += 2) memcpy(a + i, "a ", 2);
    memcpy(b, a, sizeof(a));
    a[SEMANTIC_MAX_TEXT - 2] = b[SEMANTIC_MAX_TEXT - 2] = '\0';
    b[SEMANTIC_MAX_TEXT - 4] = 'b';
    CHECK_DOUBLE(score_of(a, b), 0);
    memset(a, 'a', SEMANTIC_MAX_TEXT + 1);
    a[SEMANTIC_MAX_TEXT + 1] = '\0';
    CHECK_DOUBLE(score_of(a, "a"), 0);
    pair_model_forget_builtin();
}
