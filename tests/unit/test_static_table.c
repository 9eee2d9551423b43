/* test_static_table.c -- a vector for each token: the file form, and sums. */
#include "semantic/static_table.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tokens/bpe.h"
#include "tokens/vocab.h"
#include "unit.h"

#define DIMS 32

extern const unsigned char static_table_rows[], static_table_rows_end[];

static struct slice builtin_bytes(void) {
    return slice_of((const char *)static_table_rows, (size_t)(static_table_rows_end - static_table_rows));
}

static struct bpe *tokenizer(void) {
    struct vocab *v = vocab_builtin(SLICE("o200k_base"));
    struct bpe *b = v != NULL ? bpe_new(v) : NULL;
    vocab_put(v);
    return b;
}

static void put_u32(struct buf *b, uint32_t x) {
    char s[4] = { (char)x, (char)(x >> 8), (char)(x >> 16), (char)(x >> 24) };
    buf_put(b, s, 4);
}

static void put_f32(struct buf *b, float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    put_u32(b, bits);
}

/* Row i has i + 1 in place i and a scale of 1 / (i + 1): a one there. */
static void write_table(struct buf *b, const uint32_t *ids, uint32_t rows, uint32_t dims) {
    buf_puts(b, "PLROWS1\n");
    put_u32(b, rows);
    put_u32(b, dims);
    for (uint32_t i = 0; i < rows; i++) put_u32(b, ids[i]);
    for (uint32_t i = 0; i < rows; i++) put_f32(b, 1 / (float)(i + 1));
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t k = 0; k < dims; k++) buf_putc(b, k == i ? (char)(i + 1) : 0);
}

/* The ids of these words behind a space, ascending when they are given so. */
static bool ids_of(struct bpe *b, const char *const *words, uint32_t n, uint32_t *out) {
    struct buf ids;
    buf_init(&ids, 0);
    for (uint32_t i = 0; i < n; i++) {
        buf_clear(&ids);
        if (bpe_encode(b, slice_str(words[i]), 0, &ids) != 0) break;
        CHECK_UINT(buf_len(&ids), sizeof(*out));
        memcpy(&out[i], ids.data, sizeof(*out));
    }
    int rc = ids.error;
    bool all = ids.len == sizeof(*out);
    buf_deinit(&ids);
    return rc == 0 && all;
}

static const char *const words[] = { " a", " the", " refund", " hello" };

TEST_FAULT(sums_rows) {
    uint32_t ids[4];
    float v[DIMS];
    struct static_table *t = NULL;
    struct failure f;
    struct buf file;
    struct bpe *b = tokenizer();
    failure_init(&f);
    buf_init(&file, 0);
    if (FAULTED(b)) return;
    if (!ids_of(b, words, 4, ids)) {
        CHECK(unit_fault_fired());
        goto done;
    }
    CHECK(ids[0] < ids[1] && ids[1] < ids[2] && ids[2] < ids[3]);
    buf_putc(&file, 'x'); /* unaligned */
    write_table(&file, ids, 4, DIMS);
    if (FAULTED(file.error)) goto done;
    CHECK_NOMEM(static_table_open(&t, slice_of(file.data + 1, file.len - 1), &f), done);
    CHECK_UINT(static_table_dims(t), DIMS);
    CHECK_NOMEM(static_table_embed(t, b, SLICE("hello"), v), done);
    for (int i = 0; i < DIMS; i++) CHECK(fabsf(v[i] - (i == 3)) < 1e-6f);
    CHECK_NOMEM(static_table_embed(t, b, SLICE("the hello the?"), v), done);
    CHECK(fabsf(v[1] - 2 / sqrtf(5)) < 1e-6f && fabsf(v[3] - 1 / sqrtf(5)) < 1e-6f && v[0] == 0 && v[2] == 0);
    CHECK_NOMEM(static_table_embed(t, b, SLICE("none of them"), v), done);
    for (int i = 0; i < DIMS; i++) CHECK(v[i] == 0);
    CHECK_NOMEM(static_table_embed(t, b, SLICE(""), v), done);
    CHECK(v[0] == 0);
    CHECK_NOMEM(static_table_embed(t, b, SLICE("the \xFF"), v), done);
    CHECK(v[1] == 0);
done:
    static_table_close(t);
    failure_deinit(&f);
    buf_deinit(&file);
    bpe_free(b);
}

TEST_FAULT(long_texts) {
    uint32_t ids[4];
    float v[DIMS];
    char text[3 * 3000];
    struct static_table *t = NULL;
    struct failure f;
    struct buf file;
    struct bpe *b = tokenizer();
    failure_init(&f);
    buf_init(&file, 0);
    if (FAULTED(b)) return;
    for (size_t i = 0; i < sizeof(text); i++) text[i] = "a the refund "[i % 13];
    if (!ids_of(b, words, 4, ids)) goto done;
    write_table(&file, ids, 4, DIMS);
    if (FAULTED(file.error)) goto done;
    CHECK_NOMEM(static_table_open(&t, buf_get(&file), &f), done);
    CHECK_NOMEM(static_table_embed(t, b, slice_of(text, sizeof(text)), v), done);
    for (int i = 0; i < 3; i++) CHECK(fabsf(v[i] - 1 / sqrtf(3)) < 0.01f);
done:
    static_table_close(t);
    failure_deinit(&f);
    buf_deinit(&file);
    bpe_free(b);
}

static void check_bad(struct slice bytes, const char *part) {
    struct static_table *t = (struct static_table *)&t;
    struct failure f;
    failure_init(&f);
    NOTE("%s", part);
    CHECK_INT(static_table_open(&t, bytes, &f), PERILUNE_ERR_INVAL);
    CHECK_PTR(t, NULL);
    if (strstr(f.message, part) == NULL) CHECK_STR(f.message, part);
    failure_deinit(&f);
}

/* With these four bytes at this place instead. */
static void check_changed(struct slice bytes, size_t at, uint32_t x, const char *part) {
    struct buf b;
    buf_init(&b, 0);
    buf_put(&b, bytes.ptr, at);
    put_u32(&b, x);
    buf_put(&b, bytes.ptr + at + 4, bytes.len - at - 4);
    CHECK_INT(b.error, 0);
    check_bad(buf_get(&b), part);
    buf_deinit(&b);
}

TEST(damaged_files) {
    static const uint32_t ids[] = { 3, 7, 200018 };
    struct buf file;
    struct static_table *t;
    struct failure f;
    failure_init(&f);
    buf_init(&file, 0);
    write_table(&file, ids, 3, DIMS);
    CHECK_INT(file.error, 0);
    struct slice good = buf_get(&file);
    CHECK_INT(static_table_open(&t, good, &f), 0);
    static_table_close(t);
    for (size_t n = 0; n < good.len; n++) check_bad(slice_of(good.ptr, n), n < 16 ? "begin with" : "cut short");
    check_changed(good, 0, 0, "begin with");
    check_changed(good, 8, 0, "number of rows");
    check_changed(good, 8, UINT32_MAX, "number of rows");
    check_changed(good, 8, 2, "too long");
    check_changed(good, 12, 0, "numbers of a row");
    check_changed(good, 12, 33, "numbers of a row");
    check_changed(good, 12, 1040, "numbers of a row");
    check_changed(good, 16, 7, "ascend at row 1");
    check_changed(good, 20, 2, "ascend at row 1");
    check_changed(good, 24, 200019, "token id");
    check_changed(good, 28, 0x7FC00000, "scale of row 0");
    check_changed(good, 36, 0x7F800000, "scale of row 2");
    static_table_close(NULL);
    failure_deinit(&f);
    buf_deinit(&file);
}

TEST(the_one_inside_the_program_is_whole) {
    struct static_table *t;
    struct failure f;
    struct bpe *b = tokenizer();
    float v[STATIC_TABLE_MAX_DIMS], w[STATIC_TABLE_MAX_DIMS], sum = 0;
    failure_init(&f);
    CHECK(b != NULL);
    CHECK_INT(static_table_open(&t, builtin_bytes(), &f), 0);
    const struct static_table *own = static_table_builtin();
    CHECK(own != NULL && own == static_table_builtin());
    CHECK_UINT(static_table_dims(own), static_table_dims(t));
    CHECK_INT(static_table_embed(own, b, SLICE("how do i reset my password? 如何"), v), 0);
    CHECK_INT(static_table_embed(t, b, SLICE("how do i reset my password? 如何"), w), 0);
    CHECK(memcmp(v, w, static_table_dims(t) * sizeof(*v)) == 0);
    for (unsigned i = 0; i < static_table_dims(t); i++) sum += v[i] * v[i];
    CHECK(fabsf(sum - 1) < 1e-4f);
    static_table_close(t);
    failure_deinit(&f);
    bpe_free(b);
}

static void *ask(void *arg) {
    (void)arg;
    return (void *)(uintptr_t)static_table_dims(static_table_builtin());
}

TEST_NOFAULT(threads_meet_at_the_first_use) {
    pthread_t t[4];
    void *dims;
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&t[i], NULL, ask, NULL), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(pthread_join(t[i], &dims), 0);
        CHECK_UINT((uintptr_t)dims, static_table_dims(static_table_builtin()));
    }
}
