/* fuzz_semantic.c -- a text has one normal form, which is UTF-8; its n-grams ascend; it is near to itself, and
 * to others as they are to it.  A first byte of 0: what follows is a table of tokens, which is either
 * refused or can be used. */
#include "fuzz.h"

#include <math.h>

#include "base/buf.h"
#include "base/json.h"
#include "include/perilune.h"
#include "semantic/embedding.h"
#include "semantic/normal.h"

const char *const fuzz_tokens[] = {
    " ", "\t\n", "password", "How ", "?", "如何", "退款", "，", "　", "ＡＢ", "１２", "①", "㎏", "½", "’", "“", "E\xcc\x81",
    "\xef\xbd\xb6\xef\xbe\x9e",
    "\xe1\x84\x80\xe1\x85\xa1", "\xe2\x84\xab", "Ⅻ", "ﬃ", "㌖", "İ", "Σ", "Я", "\xc2\xad", "\xff",
    "\xe4\xbd", "\xf0\x9d\x90\x80",
    "\xef\xbb\xbf", "PLROWS1\n", "\1\0\0\0", "\x10", "\xff\xff\xff\xff", "aaaaaaaaaaaaaaaa", NULL
};

/* Kept from input to input: what was counted is any number of other texts. */
static struct gram_counts *counts;
static struct embedder *embedder;
static struct embedded_text before;
static struct buf before_normal;

static void check_normal(struct slice text, struct buf *normal) {
    struct buf again;
    buf_init(&again, 0);
    normal_write(text, normal);
    struct slice s = buf_get(normal);
    ORACLE(!buf_failed(normal) && utf8_valid_prefix(s) == s.len);
    ORACLE(s.len == 0 || (s.ptr[0] != ' ' && s.ptr[s.len - 1] != ' '));
    normal_write(s, &again);
    ORACLE(slice_eq(buf_get(&again), s));
    buf_deinit(&again);
}

static void check_embedding(const struct embedded_text *t) {
    for (unsigned i = 1; i < t->grams.count; i++) ORACLE(t->grams.items[i - 1].hash < t->grams.items[i].hash);
    for (unsigned i = 0; i < embedder_dims(embedder); i++) ORACLE(isfinite(t->vector[i]));
    float self = embedder_similarity(embedder, t, t), near = embedder_similarity(embedder, t, &before);
    ORACLE(self >= 0 && self <= 1.0001f && (t->grams.count == 0 || self > 0.29f));
    ORACLE(near >= 0 && near <= 1.0001f && near == embedder_similarity(embedder, &before, t));
}

static void check_text(struct slice text) {
    struct embedded_text t;
    struct buf normal;
    embedded_text_init(&t);
    buf_init(&normal, 0);
    check_normal(text, &normal);
    ORACLE(embedder_embed(embedder, 1, buf_get(&normal), &t) == 0);
    check_embedding(&t);
    gram_counts_add(counts, 1, &t.grams, 1);
    embedded_text_deinit(&before);
    buf_deinit(&before_normal);
    before = t;
    before_normal = normal;
}

static void check_table(struct slice bytes) {
    struct static_table *t;
    struct failure f;
    struct embedded_text x;
    failure_init(&f);
    embedded_text_init(&x);
    int rc = static_table_open(&t, bytes, &f);
    ORACLE((rc == 0) == (t != NULL) && (rc == 0) == (f.message[0] == '\0'));
    if (rc == 0) {
        struct embedder *e = embedder_new(t, NULL);
        ORACLE(e != NULL && embedder_embed(e, 0, SLICE("a text & a table"), &x) == 0);
        for (unsigned i = 0; i < embedder_dims(e); i++) ORACLE(isfinite(x.vector[i]));
        embedded_text_deinit(&x);
        embedder_free(e);
    }
    static_table_close(t);
    failure_deinit(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    if (embedder == NULL) {
        counts = gram_counts_new(12);
        embedder = embedder_new(NULL, counts);
        ORACLE(embedder != NULL && embedder_embed(embedder, 1, SLICE("the first"), &before) == 0);
    }
    struct slice rest = slice_of((const char *)data + 1, size - 1);
    if (data[0] == 0) check_table(rest);
    else check_text(rest);
    return 0;
}
