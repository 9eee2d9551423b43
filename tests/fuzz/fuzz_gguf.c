/* fuzz_gguf.c -- a GGUF header is refused with a sentence that says where, or is what gguf.h promises; and then the
 * facts of the model are read and judged, whatever they say.  The file's size is the input's, or larger. */
#include "fuzz.h"

#include "base/mem.h"
#include "include/perilune.h"
#include "local/facts.h"

const char *const fuzz_tokens[] = { /* NUL ends a token: numbers are written with what follows in the corpus */
    "GGUF", "\3", "\x20", "\x08", "\x09", "\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\x7f",
    "general.architecture", "general.alignment", "llama", "bert", "llama.block_count", "llama.attention.head_count", "tokenizer.ggml.tokens",
    "llama.attention.head_count_kv", "llama.expert_count", "token_embd.weight", "split.count",
    "general.type", "adapter", NULL
};

static void check_shape(const struct gguf *g) {
    uint64_t end = 0;
    ORACLE(g->version == 2 || g->version == 3);
    ORACLE(g->data_at % g->alignment == 0);
    for (unsigned i = 0; i < g->tensor_count; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        ORACLE(gguf_tensor_type(t->type) != NULL && t->offset >= end && t->offset % g->alignment == 0);
        end = t->offset + t->bytes;
        ORACLE(end > t->offset && g->data_at + end <= g->file_size);
    }
    for (unsigned i = 0; i < g->pair_count; i++) {
        struct gguf_strings texts;
        struct slice text;
        uint64_t n = 0;
        gguf_strings(g, &g->pairs[i], &texts);
        for (; gguf_next(&texts, &text); n++) ORACLE(text.ptr + text.len <= g->header.ptr + g->header.len);
        ORACLE(n == (g->pairs[i].type == GGUF_ARRAY && g->pairs[i].of == GGUF_STRING ? g->pairs[i].count : 0));
        double v;
        for (uint64_t k = 0; k < g->pairs[i].count && k < 1000; k++) gguf_number_at(g, &g->pairs[i], k, &v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char why[GGUF_WHY] = "", text[GGUF_WHY] = "";
    struct gguf g;
    struct facts f;
    uint64_t file = size + (fuzz_hash(data, size) % 3 == 0 ? 100000 : 0);
    int rc = gguf_read(&g, slice_of((const char *)data, size), file, why, sizeof(why));
    ORACLE(rc == 0 || rc == PERILUNE_ERR_INVAL);
    if (rc != 0) {
        ORACLE(strncmp(why, "byte ", 5) == 0 && g.pairs == NULL && g.tensors == NULL);
        return 0;
    }
    check_shape(&g);
    facts_read(&g, &f);
    rc = facts_is_model(&g, "x.gguf", text, sizeof(text));
    ORACLE(rc == 0 || (rc == PERILUNE_ERR_INVAL && text[0] != '\0'));
    rc = facts_check(&g, &f, text, sizeof(text));
    ORACLE(rc == 0 || (rc == PERILUNE_ERR_INVAL && text[0] != '\0'));
    gguf_close(&g);
    return 0;
}
