/* test_gguf.c -- files of models: good ones, cut ones, and such as want to harm. */
#include "unit.h"
#include "gguf_file.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/gguf_types.h"

static char why[GGUF_WHY];

/* Is refused, and the sentence has this part. */
static void refused(const struct buf *b, const char *part) {
    struct gguf g;
    CHECK_INT(gguf_read(&g, buf_get(b), buf_len(b), why, sizeof(why)), PERILUNE_ERR_INVAL);
    if (strstr(why, part) == NULL) FAIL("no '%s' in '%s'", part, why);
    CHECK(g.pairs == NULL && g.tensors == NULL && !g.more);
}

TEST_FAULT(a_model_is_read) {
    struct gguf g;
    struct buf b;
    uint64_t n = 0;
    double v = 0;
    buf_init(&b, 0);
    gguf_put_model(&b);
    if (buf_failed(&b)) goto done;
    CHECK_NOMEM(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), done);
    CHECK_INT(g.version, 3);
    CHECK_INT(g.pair_count, 12);
    CHECK_INT(g.tensor_count, 2);
    CHECK_INT(g.alignment, 32);
    CHECK_INT(g.data_end, buf_len(&b));
    CHECK_SLICE(gguf_string(&g, "general.name"), SLICE("Tiny"));
    CHECK_SLICE(gguf_string(&g, "llama.block_count"), SLICE(""));
    CHECK(gguf_u64(&g, "llama.embedding_length", &n) && n == 32);
    CHECK(!gguf_u64(&g, "llama.attention.layer_norm_rms_epsilon", &n));
    CHECK(gguf_number(&g, "llama.attention.layer_norm_rms_epsilon", &v) && v > 0.9e-5 && v < 1.1e-5);
    CHECK(!gguf_u64(&g, "none", &n) && !gguf_u64(&g, "tokenizer.ggml.tokens", &n));
    struct gguf_strings texts;
    struct slice text;
    CHECK(gguf_strings(&g, gguf_find(&g, "tokenizer.ggml.tokens"), &texts));
    CHECK(gguf_next(&texts, &text) && gguf_next(&texts, &text) && gguf_next(&texts, &text));
    CHECK_SLICE(text, SLICE("ab"));
    CHECK(!gguf_next(&texts, &text));
    CHECK(!gguf_strings(&g, NULL, &texts) && !gguf_next(&texts, &text));
    const struct gguf_tensor *t = gguf_find_tensor(&g, "token_embd.weight");
    CHECK(t != NULL && t->bytes == 102 && t->count == 96 && t->ne[1] == 3 && t->ne[2] == 1);
    gguf_close(&g);
    gguf_close(&g);
done:
    buf_deinit(&b);
}

TEST_NOFAULT(cut_at_every_byte) {
    struct gguf g;
    struct buf b;
    buf_init(&b, 0);
    gguf_put_model(&b);
    for (size_t n = 0; n < buf_len(&b); n++) {
        char *piece = mem_dup(buf_get(&b).ptr, n); /* memory of its own: a sanitizer sees who reads beyond */
        NOTE("%zu bytes", n);
        CHECK_INT(gguf_read(&g, slice_of(piece, n), n, why, sizeof(why)), PERILUNE_ERR_INVAL);
        CHECK(strstr(why, "cut off") != NULL && !g.more);
        mem_free(piece);
    }
    buf_deinit(&b);
}

TEST_NOFAULT(a_piece_of_a_longer_file_asks_for_more) {
    struct gguf g;
    struct buf b;
    buf_init(&b, 0);
    gguf_put_model(&b);
    CHECK_INT(gguf_read(&g, slice_of(buf_get(&b).ptr, 300), buf_len(&b), why, sizeof(why)), PERILUNE_ERR_INVAL);
    CHECK(g.more);
    size_t header = buf_len(&b) - 256;
    CHECK_INT(gguf_read(&g, slice_of(buf_get(&b).ptr, header), buf_len(&b), why, sizeof(why)), 0);
    gguf_close(&g);
    buf_deinit(&b);
}

/* -- Bytes that are changed ------------------------------------------------------------------ */

static void edit(struct buf *b, const char *part, long from, const void *bytes, size_t n) {
    char *at = memmem(b->data, b->len, part, strlen(part));
    CHECK(at != NULL);
    memcpy(at + from, bytes, n);
}

#define MODEL(b)     \
    struct buf b;    \
    buf_init(&b, 0); \
    gguf_put_model(&b)

static const unsigned char huge[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };

TEST_NOFAULT(the_first_bytes) {
    MODEL(b);
    memcpy(b.data, "GGML", 4);
    refused(&b, "byte 0: begins with \"GGML\"");
    memcpy(b.data, "GGUF\1", 5);
    refused(&b, "byte 4: version 1");
    memcpy(b.data, "GGUF\0\0\0\3", 8);
    refused(&b, "big-endian");
    memcpy(b.data, "GGUF\4\0\0\0", 8);
    refused(&b, "version 4; versions 2 and 3 are read");
    memcpy(b.data, "GGUF\2\0\0\0", 8);
    struct gguf g;
    CHECK_INT(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), 0);
    gguf_close(&g);
    memcpy(b.data + 8, huge, 8);
    refused(&b, "byte 8: 18446744073709551615 tensors");
    memset(b.data + 8, 0, 8);
    memcpy(b.data + 16, huge, 8);
    refused(&b, "byte 16: 18446744073709551615 key-value pairs");
    buf_deinit(&b);
}

TEST_NOFAULT(lengths_that_lie) {
    MODEL(b);
    edit(&b, "general.name", -8, huge, 8);
    refused(&b, "a key needs 18446744073709551615 bytes");
    buf_clear(&b);
    gguf_put_model(&b);
    edit(&b, "Tiny", -8, huge, 8);
    refused(&b, "a text in an array needs");
    buf_clear(&b);
    gguf_put_model(&b);
    edit(&b, "tokenizer.ggml.tokens", 21 + 4 + 4, huge, 8); /* times 8 it would be a small number */
    refused(&b, "'tokenizer.ggml.tokens' has 18446744073709551615 elements");
    buf_deinit(&b);
}

TEST_NOFAULT(types_that_do_not_exist) {
    MODEL(b);
    edit(&b, "llama.block_count", 17, "\x0D", 1);
    refused(&b, "'llama.block_count' is of type 13");
    buf_clear(&b);
    gguf_put_model(&b);
    edit(&b, "tokenizer.ggml.tokens", 21 + 4, "\x09", 1);
    refused(&b, "array of arrays");
    buf_clear(&b);
    gguf_put_model(&b);
    edit(&b, "token_embd.weight", 17 + 4 + 16, "\x04", 1);
    refused(&b, "tensor 'token_embd.weight' is of type 4, which is not known");
    edit(&b, "token_embd.weight", 17 + 4 + 16, "\x0C", 1);
    refused(&b, "a row of 32 numbers has no whole number of Q4_K blocks, of 256");
    buf_deinit(&b);
}

TEST_NOFAULT(names_that_are_there_twice) {
    MODEL(b);
    edit(&b, "llama.block_count", 0, "general.licensx", 15);
    struct gguf g;
    CHECK_INT(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), 0);
    gguf_close(&g);
    buf_clear(&b);
    gguf_put_start(&b, 3, 0, 2);
    gguf_put_pair_text(&b, "a", "x");
    gguf_put_pair_text(&b, "a", "y");
    refused(&b, "the key 'a' is there twice");
    buf_clear(&b);
    gguf_put_start(&b, 3, 2, 0);
    gguf_put_tensor(&b, "t", 8, 1, 0, 0);
    gguf_put_tensor(&b, "t", 8, 1, 0, 32);
    gguf_pad(&b);
    gguf_put_zeros(&b, 64);
    refused(&b, "the tensor 't' is there twice");
    buf_clear(&b);
    gguf_put_start(&b, 3, 0, 1);
    gguf_put_pair_text(&b, "", "x");
    refused(&b, "a key of 0 bytes");
    buf_deinit(&b);
}

TEST_NOFAULT(names_that_harm_a_terminal_are_muted) {
    struct buf b;
    buf_init(&b, 0);
    gguf_put_start(&b, 3, 0, 2);
    gguf_put_pair_text(&b, "\x1b[2Jx", "x");
    gguf_put_pair_text(&b, "\x1b[2Jx", "y");
    refused(&b, "the key '?[2Jx' is there twice");
    buf_deinit(&b);
}

/* -- Tensors --------------------------------------------------------------------------------- */

static void one(struct buf *b, uint64_t row, uint64_t rows, uint32_t type, uint64_t offset) {
    buf_clear(b);
    gguf_put_start(b, 3, 1, 0);
    gguf_put_tensor(b, "t", row, rows, type, offset);
    gguf_pad(b);
    gguf_put_zeros(b, 64);
}

TEST_NOFAULT(tensors_that_do_not_fit) {
    struct buf b;
    buf_init(&b, 0);
    one(&b, 16, 1, 0, 0);
    struct gguf g;
    CHECK_INT(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), 0);
    gguf_close(&g);
    one(&b, 17, 1, 0, 0);
    refused(&b, "would end beyond byte");
    one(&b, 16, 1, 0, 32);
    refused(&b, "begins at byte 32 of the data, and should at byte 0");
    one(&b, 16, 1, 0, UINT64_MAX - 31);
    refused(&b, "begins at byte 18446744073709551584");
    one(&b, 0, 1, 0, 0);
    refused(&b, "dimension 0 of 0 numbers");
    one(&b, UINT64_MAX, 1, 0, 0);
    refused(&b, "dimension 0 of 18446744073709551615 numbers");
    one(&b, (uint64_t)1 << 33, (uint64_t)1 << 33, 0, 0);
    refused(&b, "dimension 1 of 8589934592 numbers");
    one(&b, (uint64_t)1 << 62, 1, 0, 0);
    refused(&b, "is too large");
    one(&b, (uint64_t)1 << 60, 1, 0, 0);
    refused(&b, "would end beyond byte");
    buf_deinit(&b);
}

TEST_NOFAULT(tensors_that_overlap) {
    struct buf b;
    buf_init(&b, 0);
    gguf_put_start(&b, 3, 2, 0);
    gguf_put_tensor(&b, "a", 16, 1, 0, 0);
    gguf_put_tensor(&b, "b", 16, 1, 0, 32);
    gguf_pad(&b);
    gguf_put_zeros(&b, 128);
    refused(&b, "tensor 'b' begins at byte 32 of the data, and overlaps with the one in front of it, which ends at "
                "byte 64");
    buf_deinit(&b);
}

TEST_NOFAULT(dimensions_and_names_of_tensors) {
    struct buf b;
    char name[80];
    buf_init(&b, 0);
    gguf_put_start(&b, 3, 1, 0);
    gguf_put_text(&b, "t");
    little_put_u32(&b, 5);
    gguf_put_zeros(&b, 64);
    refused(&b, "tensor 't' has 5 dimensions");
    memset(name, 'n', sizeof(name));
    name[64] = '\0';
    buf_clear(&b);
    gguf_put_start(&b, 3, 1, 0);
    gguf_put_tensor(&b, name, 16, 1, 0, 0);
    refused(&b, "a tensor's name of 64 bytes");
    buf_deinit(&b);
}

TEST_NOFAULT(an_alignment_that_cannot_be) {
    static const uint32_t bad[] = { 0, 1, 4, 33, 1u << 17 };
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        buf_clear(&b);
        gguf_put_start(&b, 3, 0, 1);
        gguf_put_pair_u32(&b, "general.alignment", bad[i]);
        refused(&b, "not a power of 2 from 8");
    }
    buf_clear(&b);
    gguf_put_start(&b, 3, 0, 1);
    gguf_put_pair_text(&b, "general.alignment", "x");
    refused(&b, "general.alignment is no unsigned number");
    buf_deinit(&b);
}

TEST_NOFAULT(a_bool_that_is_neither) {
    struct buf b;
    buf_init(&b, 0);
    gguf_put_start(&b, 3, 0, 1);
    gguf_put_key(&b, "x", GGUF_BOOL);
    buf_putc(&b, 7);
    refused(&b, "'x' is neither true nor false");
    buf_deinit(&b);
}

TEST_NOFAULT(numbers_with_a_sign) {
    struct buf b;
    struct gguf g;
    uint64_t n = 5;
    double v = 0;
    buf_init(&b, 0);
    gguf_put_start(&b, 3, 0, 2);
    gguf_put_key(&b, "minus", GGUF_I32);
    little_put_u32(&b, (uint32_t)-7);
    gguf_put_array(&b, "list", GGUF_I16, 2);
    little_put_u16(&b, 3);
    little_put_u16(&b, 0xFFFF);
    CHECK_INT(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), 0);
    CHECK(!gguf_u64(&g, "minus", &n) && n == 5);
    CHECK(gguf_number(&g, "minus", &v) && v == -7);
    const struct gguf_pair *p = gguf_find(&g, "list");
    CHECK(gguf_u64_at(&g, p, 0, &n) && n == 3);
    CHECK(!gguf_u64_at(&g, p, 1, &n) && !gguf_u64_at(&g, p, 2, &n));
    CHECK(gguf_number_at(&g, p, 1, &v) && v == -1);
    CHECK(!gguf_number_at(&g, p, 2, &v) && !gguf_number_at(&g, NULL, 0, &v));
    gguf_close(&g);
    buf_deinit(&b);
}

/* -- Files --------------------------------------------------------------------------------------- */

TEST_NOFAULT(files) {
    struct gguf g;
    struct buf b;
    char path[64];
    CHECK_INT(gguf_open(&g, "/tmp/perilune-no-such.gguf", why, sizeof(why)), PERILUNE_ERR_IO);
    CHECK_STR(why, "No such file or directory");
    CHECK_INT(gguf_open(&g, "/tmp", why, sizeof(why)), PERILUNE_ERR_INVAL);
    CHECK_STR(why, "is not a file");
    buf_init(&b, 0);
    gguf_file(&b, path); /* empty */
    CHECK_INT(gguf_open(&g, path, why, sizeof(why)), PERILUNE_ERR_INVAL);
    unlink(path);
    snprintf(path, sizeof(path), "/tmp/perilune-pipe-%d", (int)getpid());
    CHECK_INT(mkfifo(path, 0600), 0);
    CHECK_INT(gguf_open(&g, path, why, sizeof(why)), PERILUNE_ERR_INVAL); /* and does not wait for a writer */
    unlink(path);
    buf_deinit(&b);
}

/* A header of 5 MiB is read in pieces; what happens to the file afterwards does not matter. */
TEST_NOFAULT(a_long_header) {
    struct gguf g;
    struct buf b;
    char path[64];
    buf_init(&b, 0);
    gguf_put_start(&b, 3, 0, 2);
    gguf_put_array(&b, "long", GGUF_STRING, 300000);
    for (int i = 0; i < 300000; i++) gguf_put_text(&b, "123456789");
    gguf_put_pair_text(&b, "end", "there");
    gguf_file(&b, path);
    CHECK_INT(gguf_open(&g, path, why, sizeof(why)), 0);
    CHECK_INT(truncate(path, 10), 0);
    CHECK_SLICE(gguf_string(&g, "end"), SLICE("there"));
    gguf_close(&g);
    CHECK_INT(gguf_open(&g, path, why, sizeof(why)), PERILUNE_ERR_INVAL);
    unlink(path);
    buf_deinit(&b);
}

TEST_NOFAULT(types_of_tensors) {
    CHECK_STR(gguf_tensor_type(12)->name, "Q4_K");
    CHECK_INT(gguf_tensor_type(12)->bytes, 144);
    CHECK(gguf_tensor_type(4) == NULL && gguf_tensor_type(31) == NULL);
    CHECK(gguf_tensor_type(GGUF_TYPES) == NULL && gguf_tensor_type(UINT32_MAX) == NULL);
}
