/* test_import.c -- static embedding models of other people, read and cut and made into a table. */
#include "semantic/import_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "semantic/import_components.h"
#include "semantic/static_table.h"
#include "tokens/bpe.h"
#include "tokens/nfc.h"
#include "tokens/vocab.h"
#include "unit.h"

static void has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) FAIL("no '%s' in '%s'", part, text);
}

/* -- Tensors ----------------------------------------------------------------------------------- */

static void put_file(struct buf *b, const char *header, const void *data, size_t len) {
    size_t n = strlen(header);
    char size[8] = { (char)n, (char)(n >> 8) };
    buf_put(b, size, 8);
    buf_puts(b, header);
    buf_put(b, data, len);
}

TEST_FAULT(numbers_of_all_types) {
    static const unsigned char data[] = {
        0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC1, /* f32: 1, -10 */
        0x00, 0x3C, 0x01, 0x80,             /* f16: 1, -2^-24 */
        0x80, 0x3F, 0x20, 0xC1,             /* bf16: 1, -10 */
        0, 0, 0, 0, 0, 0, 0xF8, 0x3F,       /* f64: 1.5 */
        0x7F, 0x80,                         /* i8: 127, -128 */
        0xFF, 0xFF, 0xFF, 0xFF,             /* i32: -1 */
        7, 0, 0, 0, 0, 0, 0, 0,             /* i64 */
    };
    static const struct {
        const char *name;
        double      first, second;
    } want[] = { { "a", 1, -10 }, { "b", 1, -0x1p-24 }, { "c", 1, -10 }, { "d", 1.5, 0 }, { "e", 127, -128 },
                 { "f", -1, 0 },  { "g", 7, 0 } };
    struct buf b;
    struct failure f;
    struct tensors t = { .items = NULL };
    failure_init(&f);
    buf_init(&b, 0);
    put_file(&b, "{\"__metadata__\":{\"x\":\"y\"},"
                 "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                 "\"g\":{\"dtype\":\"I64\",\"shape\":[1,1],\"data_offsets\":[30,38]},"
                 "\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[8,12]},"
                 "\"c\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[12,16]},"
                 "\"d\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[16,24]},"
                 "\"e\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[24,26]},"
                 "\"f\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[26,30]},"
                 "\"h\":{\"dtype\":\"F8_E4M3\",\"shape\":[9],\"data_offsets\":[38,38]}}", data, sizeof(data));
    if (FAULTED(b.error)) goto done;
    CHECK_NOMEM(import_tensors_open(&t, buf_get(&b), &f), done);
    CHECK_UINT(t.count, 8);
    for (unsigned i = 0; i < 7; i++) {
        const struct tensor *x = import_tensors_find(&t, slice_str(want[i].name));
        NOTE("%s", want[i].name);
        CHECK(x != NULL && x->count >= 1);
        CHECK_DOUBLE(import_tensors_number(x, 0), want[i].first);
        if (x->count > 1) CHECK_DOUBLE(import_tensors_number(x, 1), want[i].second);
    }
    CHECK(import_tensors_find(&t, SLICE("h"))->type == TENSOR_OTHER);
    CHECK_PTR(import_tensors_find(&t, SLICE("i")), NULL);
done:
    import_tensors_close(&t);
    buf_deinit(&b);
    failure_deinit(&f);
}

static void check_bad_model(const char *header, size_t len, unsigned char byte, const char *part) {
    unsigned char data[64];
    struct buf b;
    struct failure f;
    struct import_model m;
    NOTE("%s", header);
    memset(data, byte, sizeof(data));
    failure_init(&f);
    buf_init(&b, 0);
    put_file(&b, header, data, len);
    CHECK_INT(b.error, 0);
    CHECK_INT(import_model_open(&m, buf_get(&b), &f), PERILUNE_ERR_INVAL);
    has(f.message, part);
    import_model_close(&m);
    buf_deinit(&b);
    failure_deinit(&f);
}

#define ONE(dtype, shape, places) "{\"x\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" places "}}"

TEST(bad_models) {
    struct failure f;
    struct import_model m;
    check_bad_model("[]", 0, 0, "no JSON object");
    check_bad_model("{\"x\":", 0, 0, "no JSON object: ");
    check_bad_model("{\"x\":1}", 0, 0, "is not described");
    check_bad_model("{\"x\":{}}", 0, 0, "has no dtype");
    check_bad_model("{\"x\":{\"dtype\":\"F32\"}}", 0, 0, "has no shape");
    check_bad_model("{\"x\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, 0, "no data_offsets");
    check_bad_model(ONE("F32", "[1.5]", "[0,4]"), 4, 0, "whole numbers");
    check_bad_model(ONE("F32", "[-1]", "[0,4]"), 4, 0, "whole numbers");
    check_bad_model(ONE("F32", "[4294967296,4294967296]", "[0,4]"), 4, 0, "too large");
    check_bad_model(ONE("F32", "[1,1]", "[4,0]"), 8, 0, "past the end");
    check_bad_model(ONE("F32", "[1,1]", "[8,12]"), 8, 0, "past the end");
    check_bad_model(ONE("F32", "[1,1]", "[0,18446744073709551615]"), 8, 0, "no data_offsets");
    check_bad_model(ONE("F32", "[1,1]", "[[0],4]"), 8, 0, "no data_offsets");
    check_bad_model(ONE("F32", "[1,2]", "[0,4]"), 8, 0, "its shape and dtype");
    check_bad_model(ONE("F32", "[1,2]", "[0,8]"), 8, 0xFF, "NaN");
    check_bad_model(ONE("F32", "[1,2]", "[0,8]"), 8, 0x7F, "over 1e9");
    check_bad_model(ONE("F16", "[1,2]", "[0,4]"), 4, 0x7C, "NaN");
    check_bad_model(ONE("F8_E4M3", "[1,4]", "[0,4]"), 4, 0, "has the dtype F8_E4M3");
    check_bad_model(ONE("I64", "[1,1]", "[0,8]"), 8, 0, "has the dtype I64");
    check_bad_model(ONE("F32", "[2]", "[0,8]"), 8, 0, "has 0 tensors of two axes");
    check_bad_model(ONE("I8", "[1,8192]", "[0,8]"), 8, 0, "its shape and dtype");
    check_bad_model("{\"a\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]},"
                    "\"b\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[3,7]}}", 8, 0, "within another");
    check_bad_model("{\"a\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]},"
                    "\"b\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[4,8]}}", 8, 0, "has 2 tensors of two axes");
    check_bad_model("{\"embeddings\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]},"
                    "\"weights\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[4,7]}}", 8, 0, "one number for each");
    check_bad_model("{\"embeddings\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]},"
                    "\"mapping\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, 2, "has not");
    check_bad_model("{\"embeddings\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]},"
                    "\"mapping\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, 0, "a dtype other than");
    failure_init(&f);
    CHECK_INT(import_model_open(&m, SLICE("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}"), &f), PERILUNE_ERR_INVAL);
    has(f.message, "cut short");
    import_model_close(&m);
    CHECK_INT(import_model_open(&m, SLICE("PK"), &f), PERILUNE_ERR_INVAL);
    import_model_close(&m);
    failure_deinit(&f);
}

/* -- Tokenizers --------------------------------------------------------------------------------------- */

static const char wordpiece[] =
    "{\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"added_tokens\":[{\"id\":0,\"content\":\"[UNK]\"},{\"id\":11,\"content\":\"[MASK]\"}],"
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,\"refund\":1,\"##able\":2,\"able\":3,"
    "\"hello\":4,\"##hel\":5,\"##lo\":6,\"-\":7,\"cafe\":8,\"\\u9000\":9,\"1\":10}}}";

static const char bpe[] =
    "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},"
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]},"
    "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"\\u2581\":1,\"a\":2,"
    "\"b\":3,\"ab\":4,\"\\u2581ab\":5,\"<0xC3>\":6,\"<0xA9>\":7,\"ba\":8},"
    "\"merges\":[\"b a\",[\"a\",\"b\"],\"\\u2581 ab\",\"a a\"]}}";

static const char byte_level[] =
    "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\u0120\":0,\"a\":1,\"\\u0120a\":2,"
    "\"\\u00c3\":3,\"\\u00a9\":4,\"\\u00c3\\u00a9\":5},\"merges\":[\"\\u0120 a\",\"\\u00c3 \\u00a9\"]}}";

static const char unigram[] =
    "{\"normalizer\":{\"type\":\"Precompiled\"},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\"},"
    "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"\\u2581\",-2],[\"a\",-3],[\"b\",-3],[\"ab\",-7],"
    "[\"\\u2581ab\",-9],[\"\\u2581a\",-4]]}}";

static const char isolating[] =
    "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"-\"},"
    "\"content\":\" - \"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\" \"}]},"
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"always\",\"split\":false},"
    "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"\\u2581-\",-1],[\"\\u2581ab\",-1],[\"a\",-1],"
    "[\"b\",-1],[\"ing\",-1],[\"\\u2581ing\",-1]]}}";

/* Cuts texts, given as pairs of a text and its ids as words ("1 2 ?1": one unknown). */
static void check_cuts(const char *json, const char *const *cases) {
    struct import_tokenizer t;
    struct failure f;
    struct buf ids, said;
    failure_init(&f);
    buf_init(&ids, 0);
    buf_init(&said, 0);
    CHECK_NOMEM(import_tokenizer_open(&t, slice_str(json), &f), done);
    for (; cases[0] != NULL; cases += 2) {
        unsigned unknown = 0;
        NOTE("'%s'", cases[0]);
        CHECK_NOMEM(import_tokenizer_cut(&t, slice_str(cases[0]), &ids, &unknown), done);
        buf_clear(&said);
        for (size_t i = 0; i < buf_len(&ids); i += 4) {
            uint32_t id;
            memcpy(&id, buf_get(&ids).ptr + i, 4);
            buf_printf(&said, "%u ", id);
        }
        buf_printf(&said, "?%u", unknown);
        const char *got = buf_cstr(&said);
        if (FAULTED(got)) goto done;
        CHECK_STR(got, cases[1]);
    }
done:
    import_tokenizer_close(&t);
    buf_deinit(&ids);
    buf_deinit(&said);
    failure_deinit(&f);
}

#define CUTS(json, ...) check_cuts(json, (const char *const[]){ __VA_ARGS__, NULL })

TEST_FAULT(word_pieces) {
    CUTS(wordpiece, " refund", "1 ?0", "refund", "1 ?0", " refundable", "1 2 ?0", " able", "3 ?0", "able", "2 ?0",
         "hello", "4 ?0", "hello-able", "4 7 3 ?0", "-able", "7 3 ?0", " refunds", "?1", " caf\xC3\xA9", "8 ?0",
         " \xE9\x80\x80\xE9\x80\x80", "9 9 ?0", "1", "10 ?0", " [UNK]", "?3", " ", "?0");
}

TEST_FAULT(byte_pairs_with_marked_spaces) {
    CUTS(bpe, " ab", "5 ?0", "ab", "4 ?0", " a", "1 2 ?0", "aba", "2 8 ?0", " abab", "1 2 8 3 ?0", "\xC3\xA9", "6 7 ?0",
         "acb", "2 3 ?1", "aa", "2 2 ?0", " ", "1 ?0");
}

TEST_FAULT(byte_pairs_in_the_alphabet_of_bytes) {
    CUTS(byte_level, " a", "2 ?0", "a", "1 ?0", "a\xC3\xA9", "1 5 ?0", " b", "0 ?1");
}

TEST_FAULT(the_best_sum_of_scores) {
    CUTS(unigram, " ab", "3 6 ?0", "ab", "3 2 ?0", " b", "3 1 ?0", "axb", "3 2 ?1", "<unk>", "?1", " ", "1 ?0");
}

TEST_FAULT(what_is_isolated_begins) {
    CUTS(isolating, "-", "1 ?0", "-ab", "2 1 ?0", "ab", "2 ?0", "ing", "5 ?0", " ing", "6 ?0");
}

static void check_bad_tokenizer(const char *json, const char *part) {
    struct import_tokenizer t;
    struct failure f;
    NOTE("%s", json);
    failure_init(&f);
    CHECK_INT(import_tokenizer_open(&t, slice_str(json), &f), PERILUNE_ERR_INVAL);
    has(f.message, part);
    import_tokenizer_close(&t);
    failure_deinit(&f);
}

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}"

TEST(bad_tokenizers) {
    struct buf deep;
    check_bad_tokenizer("", "is no JSON");
    check_bad_tokenizer("{\"a\":", "is no JSON");
    check_bad_tokenizer("[]", "is not an object");
    check_bad_tokenizer("{}", "there is no model");
    check_bad_tokenizer("{\"model\":7}", "there is no model");
    check_bad_tokenizer("{\"model\":{\"type\":\"WordLevel\"}}", "model \"WordLevel\" is not supported");
    check_bad_tokenizer("{\"model\":{\"type\":\"BPE\",\"vocab\":[]}}", "not an object of pieces");
    check_bad_tokenizer("{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "there are no pieces");
    check_bad_tokenizer("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1}}}", "not a whole number");
    check_bad_tokenizer("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4294967295}}}", "not a whole number");
    check_bad_tokenizer("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", "merges: not a list");
    check_bad_tokenizer("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"ab\"]}}", "neither");
    check_bad_tokenizer("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",[]]]}}", "neither");
    check_bad_tokenizer("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"end_of_word_suffix\":\"</w>\"}}",
                        "end_of_word_suffix");
    check_bad_tokenizer("{\"model\":{\"type\":\"Unigram\",\"vocab\":{}}}", "not a list of [piece");
    check_bad_tokenizer("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", "not [piece, score]");
    check_bad_tokenizer("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e999]]}}", "between -1e6");
    check_bad_tokenizer("{\"normalizer\":[]," MODEL, "is not an object");
    check_bad_tokenizer("{\"normalizer\":{\"type\":\"Rot13\"}," MODEL, "\"Rot13\" is not supported");
    check_bad_tokenizer("{\"normalizer\":{\"type\":\"NFD\"}," MODEL, "with StripAccents only");
    check_bad_tokenizer("{\"normalizer\":{\"type\":\"Sequence\"}," MODEL, "has no list");
    check_bad_tokenizer("{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a*\"},\"content\":\"\"}," MODEL,
                        "only a pattern that is a String");
    check_bad_tokenizer("{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," MODEL, "\"UnicodeScripts\" is not supported");
    check_bad_tokenizer("{\"pre_tokenizer\":{\"type\":\"Split\"}," MODEL, "beside ByteLevel");
    check_bad_tokenizer("{\"added_tokens\":[{}]," MODEL, "has no id");
    buf_init(&deep, 0);
    buf_puts(&deep, "{\"normalizer\":");
    for (int i = 0; i < 10; i++) buf_puts(&deep, "{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 10; i++) buf_puts(&deep, "]}");
    buf_puts(&deep, "," MODEL);
    check_bad_tokenizer(buf_cstr(&deep), "over 8 deep");
    buf_deinit(&deep);
}

TEST(texts_that_grow_have_an_end) {
    struct import_tokenizer t;
    struct failure f;
    struct buf json, ids;
    unsigned unknown = 0;
    failure_init(&f);
    buf_init(&json, 0);
    buf_init(&ids, 0);
    buf_puts(&json, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 20; i++)
        buf_puts(&json, i ? ",{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaa\"}"
                          : "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"}");
    buf_puts(&json, "]}," MODEL);
    CHECK_INT(import_tokenizer_open(&t, buf_get(&json), &f), 0);
    CHECK_INT(import_tokenizer_cut(&t, SLICE("a"), &ids, &unknown), PERILUNE_ERR_LIMITED);
    CHECK_INT(import_tokenizer_cut(&t, SLICE(" b"), &ids, &unknown), 0);
    import_tokenizer_close(&t);
    buf_deinit(&ids);
    buf_deinit(&json);
    failure_deinit(&f);
}

TEST(letters_and_their_marks_apart) {
    struct buf b;
    buf_init(&b, 0);
    CHECK_INT(nfc_append_decomposed(SLICE("x\xC3\xA9\xEA\xB0\x81"), &b), 0);
    CHECK_SLICE(buf_get(&b), SLICE("xe\xCC\x81\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"));
    CHECK_INT(nfc_append_decomposed(SLICE(""), &b), 0);
    buf_deinit(&b);
}

/* -- Components ------------------------------------------------------------------------------------------ */

/* Rows in a space of two directions of eight: two numbers say all. */
TEST_FAULT(components_keep_what_is_there) {
    float rows[5][8], before[5][5], (*kept)[2] = (float (*)[2])(void *)rows;
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 8; k++) rows[i][k] = (float)(i + 1) * (float)(k % 3) + (float)(i * i) * (float)(k % 2);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            before[i][j] = 0;
            for (int k = 0; k < 8; k++) before[i][j] += rows[i][k] * rows[j][k];
        }
    CHECK_NOMEM(import_components(&rows[0][0], 5, 8, 2), done);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++)
            CHECK(fabsf(kept[i][0] * kept[j][0] + kept[i][1] * kept[j][1] - before[i][j]) < 1e-3f * (1 + before[i][j]));
done:;
}

/* -- A table ------------------------------------------------------------------------------------------------ */

/* Piece i has a one at i, weighed and mapped as the header says. */
static void write_model(struct buf *b, unsigned pieces, bool mapped) {
    char header[400];
    float one[16] = { 0 }, weight;
    struct buf data;
    unsigned size = pieces * 16 * 4;
    buf_init(&data, 0);
    for (unsigned i = 0; i < pieces; i++) {
        memset(one, 0, sizeof(one));
        one[i] = 1;
        buf_put(&data, one, sizeof(one));
    }
    for (unsigned i = 0; i < pieces; i++) {
        weight = (float)(i + 1);
        buf_put(&data, &weight, 4);
    }
    for (uint32_t i = 0; i < pieces; i++) {
        uint32_t other = pieces - 1 - i;
        buf_put(&data, &other, 4);
    }
    snprintf(header, sizeof(header), "{\"%s\":{\"dtype\":\"F32\",\"shape\":[%u,16],\"data_offsets\":[0,%u]},"
             "\"weights\":{\"dtype\":\"F32\",\"shape\":[%u],\"data_offsets\":[%u,%u]},"
             "\"%s\":{\"dtype\":\"I32\",\"shape\":[%u],\"data_offsets\":[%u,%u]}}", "embeddings", pieces, size, pieces, size,
             size + pieces * 4, mapped ? "mapping" : "other", pieces, size + pieces * 4, size + pieces * 8);
    put_file(b, header, buf_get(&data).ptr, buf_len(&data));
    buf_deinit(&data);
}

/* The direction of a text in the table that a model and a tokenizer make. */
static void check_text(const char *tokenizer, unsigned pieces, bool mapped, unsigned dims, const char *text, float *out) {
    struct buf file, table;
    struct failure f;
    struct import_model m;
    struct import_tokenizer t;
    struct import_report r;
    struct static_table *s;
    struct vocab *v = vocab_builtin(SLICE("o200k_base"));
    struct bpe *b = bpe_new(v);
    failure_init(&f);
    buf_init(&file, 0);
    buf_init(&table, 0);
    write_model(&file, pieces, mapped);
    CHECK_INT(import_model_open(&m, buf_get(&file), &f), 0);
    CHECK_INT(import_tokenizer_open(&t, slice_str(tokenizer), &f), 0);
    CHECK_INT(import_table_write(&m, &t, dims, &table, &r, &f), 0);
    CHECK_INT(static_table_open(&s, buf_get(&table), &f), 0);
    CHECK_UINT(static_table_dims(s), 16);
    CHECK(r.dims == 16 && r.rows > 0 && r.rows < r.tokens && r.unknown > 0);
    CHECK_INT(static_table_embed(s, b, slice_str(text), out), 0);
    static_table_close(s);
    import_tokenizer_close(&t);
    import_model_close(&m);
    buf_deinit(&table);
    buf_deinit(&file);
    failure_deinit(&f);
    bpe_free(b);
    vocab_put(v);
}

static bool near(float a, double b) { return fabs((double)a - b) < 0.01; }

TEST_NOFAULT(a_table_of_word_pieces) {
    float v[STATIC_TABLE_MAX_DIMS];
    check_text(wordpiece, 12, false, 0, "refund hello", v); /* 2 of piece 1, 5 of piece 4 */
    CHECK(near(v[1], 2 / sqrt(29)) && near(v[4], 5 / sqrt(29)));
    check_text(wordpiece, 12, true, 0, "refund hello", v); /* rows 10 and 7 */
    CHECK(near(v[10], 2 / sqrt(29)) && near(v[7], 5 / sqrt(29)));
}

TEST_NOFAULT(a_table_of_pairs_and_of_scores) {
    float v[STATIC_TABLE_MAX_DIMS];
    check_text(bpe, 9, false, 0, "ab", v);
    CHECK(near(v[5], 1));
    check_text(unigram, 7, false, 16, "ab", v); /* 7 of piece 6, 4 of piece 3 */
    CHECK(near(v[6], 7 / sqrt(65)) && near(v[3], 4 / sqrt(65)));
}

static void check_no_table(unsigned pieces, unsigned dims, const char *part) {
    struct buf file, table;
    struct failure f;
    struct import_model m;
    struct import_tokenizer t;
    struct import_report r;
    failure_init(&f);
    buf_init(&file, 0);
    buf_init(&table, 0);
    write_model(&file, pieces, false);
    CHECK_INT(import_model_open(&m, buf_get(&file), &f), 0);
    CHECK_INT(import_tokenizer_open(&t, slice_str(bpe), &f), 0);
    CHECK_INT(import_table_write(&m, &t, dims, &table, &r, &f), PERILUNE_ERR_INVAL);
    has(f.message, part);
    import_tokenizer_close(&t);
    import_model_close(&m);
    buf_deinit(&table);
    buf_deinit(&file);
    failure_deinit(&f);
}

TEST(what_does_not_go_together) {
    check_no_table(8, 0, "rows for 8 pieces, and the tokenizer ids up to 8");
    check_no_table(9, 32, "--dims asks for 32");
}
