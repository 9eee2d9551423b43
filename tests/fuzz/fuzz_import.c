/* fuzz_import.c -- somebody's model and tokenizer are refused with a sentence, or can be used.  A first byte of 0:
 * what follows, up to a NUL, is the header of a safetensors file, and then its numbers; of 1: such a file as it is;
 * else a tokenizer.json. */
#include "fuzz.h"

#include <math.h>

#include "include/perilune.h"
#include "semantic/import_model.h"
#include "semantic/import_tokenizer.h"

const char *const fuzz_tokens[] = {
    "\"embeddings\":", "\"weights\":", "\"mapping\":", "{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]}", "\"F32\"", "\"BF16\"",
    "\"I8\"", "\"I64\"", "\"I32\"", "\"shape\":[", "\"data_offsets\":[0,", "18446744073709551615", "4294967296", "-1", "1e9",
    "{\"normalizer\":", "\"pre_tokenizer\":", "\"model\":{\"type\":\"BPE\",\"vocab\":{", "\"type\":\"Unigram\",\"vocab\":[[\"a\",-1],",
    "\"type\":\"WordPiece\"", "\"merges\":[\"a b\"]", "[\"a\",\"b\"]", "{\"type\":\"Sequence\",\"normalizers\":[", "\"pretokenizers\":[",
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaaaaaaaaaa\"}", "{\"type\":\"BertNormalizer\"}",
    "{\"type\":\"Metaspace\"}", "{\"type\":\"ByteLevel\"}", "{\"type\":\"Whitespace\"}", "{\"type\":\"Digits\"}", "\\u2581", "##",
    "\"byte_fallback\":true", "\"ignore_merges\":true", "\"<0xC3>\":5", "\"unk_id\":0", "null", "true", "\"", "\\", "{", "}", "[",
    "]", ",", NULL
};

static void use_model(struct slice bytes) {
    struct import_model m;
    struct failure f;
    failure_init(&f);
    int rc = import_model_open(&m, bytes, &f);
    ORACLE(rc == 0 || (rc == PERILUNE_ERR_INVAL && f.message[0] != '\0'));
    if (rc == 0) {
        float row[IMPORT_MODEL_MAX_DIMS] = { 0 };
        ORACLE(m.dims > 0 && m.dims <= IMPORT_MODEL_MAX_DIMS);
        for (uint32_t i = 0; i < m.tokens && i < 100; i++) import_model_add(&m, i, row);
        for (unsigned i = 0; i < m.dims; i++) ORACLE(isfinite(row[i]));
    }
    import_model_close(&m);
    failure_deinit(&f);
}

/* The length is put in front, since no change at random would keep it right. */
static void use_header(struct slice rest) {
    const char *nul = rest.len > 0 ? memchr(rest.ptr, 0, rest.len) : NULL;
    size_t header = nul != NULL ? (size_t)(nul - rest.ptr) : rest.len, data = nul != NULL ? rest.len - header - 1 : 0;
    char *file = malloc(8 + header + data);
    ORACLE(file != NULL);
    memset(file, 0, 8);
    file[0] = (char)header;
    file[1] = (char)(header >> 8);
    if (header > 0) memcpy(file + 8, rest.ptr, header);
    if (data > 0) memcpy(file + 8 + header, nul + 1, data);
    use_model(slice_of(file, 8 + header + data));
    free(file);
}

static void use_tokenizer(struct slice json) {
    static const char *const texts[] = { " ab", "ab-ba", " caf\xC3\xA9", "aaaaaaaaaaaaaaaa", "\xE9\x80\x80", "1.5", " " };
    static struct import_tokenizer t;
    struct failure f;
    struct buf ids;
    failure_init(&f);
    buf_init(&ids, 0);
    int rc = import_tokenizer_open(&t, json, &f);
    ORACLE(rc == 0 || (rc == PERILUNE_ERR_INVAL && f.message[0] != '\0'));
    for (size_t i = 0; rc == 0 && i < sizeof(texts) / sizeof(*texts); i++) {
        unsigned unknown = 0;
        int cut = import_tokenizer_cut(&t, slice_str(texts[i]), &ids, &unknown);
        ORACLE(cut == 0 || cut == PERILUNE_ERR_LIMITED);
        for (size_t k = 0; cut == 0 && k < buf_len(&ids); k += 4) {
            uint32_t id;
            memcpy(&id, buf_get(&ids).ptr + k, 4);
            ORACLE(id < t.ids);
        }
    }
    import_tokenizer_close(&t);
    buf_deinit(&ids);
    failure_deinit(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct slice rest = slice_of((const char *)data + 1, size - 1);
    if (data[0] == 0) use_header(rest);
    else if (data[0] == 1) use_model(rest);
    else use_tokenizer(slice_of((const char *)data, size));
    return 0;
}
