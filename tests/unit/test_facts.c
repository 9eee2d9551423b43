/* test_facts.c -- what a model's file says of the model; files that would end the process in the library. */
#include "unit.h"
#include "gguf_file.h"

#include "base/mem.h"
#include "include/perilune.h"
#include "local/facts.h"

static char why[GGUF_WHY];

struct extra { /* a pair that is put in, or replaces one of the same key */
    const char   *key;
    enum gguf_type type;
    uint32_t      number;
    const char   *text;
};

#define END { NULL, GGUF_U32, 0, NULL }

/* A model of two layers with these pairs, the last of a key. */
static void put(struct buf *b, const char *architecture, const struct extra *extra) {
    struct extra all[40] = {
        { "general.architecture", GGUF_STRING, 0, architecture },
        { "llama.block_count", GGUF_U32, 2, NULL },
        { "llama.context_length", GGUF_U32, 512, NULL },
        { "llama.embedding_length", GGUF_U32, 64, NULL },
        { "llama.attention.head_count", GGUF_U32, 8, NULL },
        { "llama.attention.head_count_kv", GGUF_U32, 2, NULL },
    };
    unsigned n = 6;
    for (; extra->key != NULL; extra++) {
        unsigned i = 0;
        while (i < n && strcmp(all[i].key, extra->key) != 0) i++;
        all[i] = *extra;
        if (i == n) n++;
    }
    gguf_put_start(b, 3, 1, n);
    for (unsigned i = 0; i < n; i++) {
        gguf_put_key(b, all[i].key, all[i].type);
        if (all[i].type == GGUF_STRING) gguf_put_text(b, all[i].text);
        else if (all[i].type == GGUF_BOOL) buf_putc(b, (char)all[i].number);
        else if (all[i].type == GGUF_ARRAY) { /* of two numbers: 4 and the one here */
            little_put_u32(b, GGUF_U32);
            gguf_put_u64(b, 2);
            little_put_u32(b, 4);
            little_put_u32(b, all[i].number);
        } else little_put_u32(b, all[i].number);
    }
    gguf_put_tensor(b, "token_embd.weight", 64, 1, 0, 0);
    gguf_pad(b);
    gguf_put_zeros(b, 256);
}

/* 0, or the kind of failure; why says which. */
static int judge(const char *path, const char *architecture, const struct extra *extra) {
    struct buf b;
    struct gguf g;
    struct facts f;
    buf_init(&b, 0);
    put(&b, architecture, extra);
    CHECK_INT(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), 0);
    int rc = facts_is_model(&g, path, why, sizeof(why));
    facts_read(&g, &f);
    if (rc == 0) rc = facts_check(&g, &f, why, sizeof(why));
    gguf_close(&g);
    buf_deinit(&b);
    return rc;
}

static void refused(const struct extra *extra, const char *part) {
    CHECK_INT(judge("x.gguf", "llama", extra), PERILUNE_ERR_INVAL);
    if (strstr(why, part) == NULL) FAIL("no '%s' in '%s'", part, why);
}

TEST_NOFAULT(the_facts) {
    struct buf b;
    struct gguf g;
    struct facts f;
    buf_init(&b, 0);
    gguf_put_model(&b);
    CHECK_INT(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), 0);
    CHECK_INT(facts_is_model(&g, "tiny.gguf", why, sizeof(why)), 0);
    facts_read(&g, &f);
    CHECK_INT(facts_check(&g, &f, why, sizeof(why)), 0);
    CHECK_SLICE(f.architecture, SLICE("llama"));
    CHECK_SLICE(f.licence, SLICE("mit"));
    CHECK_SLICE(f.tokenizer, SLICE("gpt2"));
    CHECK_INT(f.vocabulary, 3);
    CHECK_INT(f.parameters, 96 + 32);
    CHECK_INT(f.weight_bytes, 102 + 128);
    CHECK_INT(f.uses[8].tensors, 1);
    CHECK_INT(f.kv_per_token, 2 * (4 + 4)); /* one layer: two heads of four numbers, keys and values */
    CHECK(f.causal && f.pooling == -1);
    gguf_close(&g);
    buf_deinit(&b);
}

TEST_NOFAULT(layers_that_differ) {
    struct buf b;
    struct gguf g;
    struct facts f;
    buf_init(&b, 0);
    put(&b, "llama", (const struct extra[]){ { "llama.attention.head_count_kv", GGUF_ARRAY, 0, NULL }, END });
    CHECK_INT(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), 0);
    facts_read(&g, &f);
    CHECK_INT(facts_check(&g, &f, why, sizeof(why)), 0);
    CHECK_INT(f.kv_per_token, 4 * 16); /* the second one keeps none */
    gguf_close(&g);
    buf_deinit(&b);
}

TEST_NOFAULT(an_encoder_keeps_nothing) {
    struct buf b;
    struct gguf g;
    struct facts f;
    buf_init(&b, 0);
    put(&b, "llama", (const struct extra[]){ { "llama.attention.causal", GGUF_BOOL, 0, NULL },
                                             { "llama.pooling_type", GGUF_U32, 1, NULL }, END });
    CHECK_INT(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), 0);
    facts_read(&g, &f);
    CHECK_INT(f.kv_per_token, 0);
    CHECK(!f.causal && f.pooling == 1);
    gguf_close(&g);
    buf_deinit(&b);
}

/* -- What is no model ----------------------------------------------------------------------------- */

static void no_model(const char *path, const char *architecture, struct extra e, const char *part) {
    const struct extra extra[] = { e, END };
    CHECK_INT(judge(path, architecture, e.key != NULL ? extra : extra + 1), PERILUNE_ERR_INVAL);
    if (strstr(why, part) == NULL) FAIL("no '%s' in '%s'", part, why);
}

TEST_NOFAULT(what_is_no_model) {
    const struct extra none = END;
    no_model("x-00001-of-00003.gguf", "llama", none, "one part of a model that was split");
    CHECK_INT(judge("x-00001-of-00001.gguf", "llama", &none), 0);
    CHECK_INT(judge("x-00001-of-00003.gguf.old", "llama", &none), 0);
    no_model("x.gguf", "llama", (struct extra){ "split.count", GGUF_U32, 2, NULL }, "split");
    no_model("x.gguf", "llama", (struct extra){ "general.type", GGUF_STRING, 0, "adapter" }, "a LoRA adapter");
    no_model("x.gguf", "llama", (struct extra){ "adapter.type", GGUF_STRING, 0, "lora" }, "a LoRA adapter");
    no_model("x.gguf", "llama", (struct extra){ "general.type", GGUF_STRING, 0, "mmproj" }, "a projector");
    no_model("x.gguf", "clip", none, "a projector");
    no_model("x.gguf", "llama", (struct extra){ "general.type", GGUF_STRING, 0, "imatrix" }, "an importance matrix");
    no_model("x.gguf", "", none, "does not say its architecture");
}

TEST_NOFAULT(a_vocabulary_is_no_model) {
    struct buf b;
    struct gguf g;
    buf_init(&b, 0);
    gguf_put_start(&b, 3, 0, 1);
    gguf_put_pair_text(&b, "general.architecture", "bert");
    CHECK_INT(gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why)), 0);
    CHECK_INT(facts_is_model(&g, "x.gguf", why, sizeof(why)), PERILUNE_ERR_INVAL);
    CHECK(strstr(why, "holds no tensors") != NULL);
    gguf_close(&g);
    buf_deinit(&b);
}

/* -- What the library would not survive ------------------------------------------------------------- */

#define WITH(...) (const struct extra[]){ __VA_ARGS__, END }

TEST_NOFAULT(numbers_out_of_range) {
    refused(WITH({ "llama.block_count", GGUF_U32, 0, NULL }), "'block_count' is not a number from 1 to 512");
    refused(WITH({ "llama.block_count", GGUF_U32, 513, NULL }), "'block_count' is not a number from 1 to 512");
    refused(WITH({ "llama.block_count", GGUF_STRING, 0, "30" }), "'block_count' is not a number");
    refused(WITH({ "llama.block_count", GGUF_ARRAY, 2, NULL }), "'block_count' is not a number");
    refused(WITH({ "llama.context_length", GGUF_U32, 0, NULL }), "'context_length' is not a number");
    refused(WITH({ "llama.embedding_length", GGUF_U32, UINT32_MAX, NULL }), "'embedding_length' is not a number");
    refused(WITH({ "llama.pooling_type", GGUF_U32, 9, NULL }), "'pooling_type' is not a number from 0 to 4");
    refused(WITH({ "llama.nextn_predict_layers", GGUF_U32, 3, NULL }), "'nextn_predict_layers' is not a number");
    refused(WITH({ "llama.attention.key_length", GGUF_U32, 0, NULL }), "'attention.key_length' is not a number");
    refused(WITH({ "llama.rope.dimension_count", GGUF_U32, 7, NULL }), "is not an even number");
    refused(WITH({ "llama.rope.scaling.type", GGUF_STRING, 0, "round" }), "'rope.scaling.type' is none of");
    refused(WITH({ "llama.rope.scaling.type", GGUF_U32, 1, NULL }), "'rope.scaling.type' is none of");
    CHECK_INT(judge("x", "llama", WITH({ "llama.rope.scaling.type", GGUF_STRING, 0, "yarn" })), 0);
    refused(WITH({ "llama.attention.layer_norm_epsilon", GGUF_F32, 0x7FC00000, NULL }), "is not a number of 0 or more");
    refused(WITH({ "llama.attention.layer_norm_epsilon", GGUF_F32, 0xBF800000, NULL }), "is not a number of 0 or more");
}

TEST_NOFAULT(heads_that_cannot_be) {
    refused(WITH({ "llama.attention.head_count_kv", GGUF_U32, 3, NULL }), "8 heads of attention are no multiple of 3");
    refused(WITH({ "llama.attention.head_count_kv", GGUF_U32, 9, NULL }), "has 8 heads of attention and 9 of keys");
    refused(WITH({ "llama.attention.head_count", GGUF_U32, 70000, NULL }), "70000 heads");
    refused(WITH({ "llama.attention.head_count", GGUF_STRING, 0, "8" }), "'attention.head_count' is not a number");
    refused(WITH({ "llama.block_count", GGUF_U32, 3, NULL }, { "llama.attention.head_count", GGUF_ARRAY, 4, NULL }),
            "'attention.head_count' has 2 elements for 3 layers");
    refused(WITH({ "llama.attention.head_count", GGUF_U32, 0, NULL }, { "llama.attention.causal", GGUF_BOOL, 0, NULL }),
            "an encoder without 'attention.head_count'");
}

TEST_NOFAULT(experts_that_cannot_be) {
    refused(WITH({ "llama.expert_count", GGUF_U32, 1025, NULL }), "'expert_count' is not a number from 0 to 1024");
    refused(WITH({ "llama.expert_count", GGUF_U32, 8, NULL }), "0 of 8 experts");
    refused(WITH({ "llama.expert_count", GGUF_U32, 8, NULL }, { "llama.expert_used_count", GGUF_U32, 9, NULL }),
            "9 of 8 experts");
    refused(WITH({ "llama.expert_used_count", GGUF_U32, 2, NULL }), "2 of 0 experts");
    refused(WITH({ "llama.expert_count", GGUF_U32, 8, NULL }, { "llama.expert_used_count", GGUF_U32, 2, NULL },
                 { "llama.expert_group_count", GGUF_U32, 3, NULL }), "0 of 3 groups");
    CHECK_INT(judge("x", "llama", WITH({ "llama.expert_count", GGUF_U32, 8, NULL },
                                       { "llama.expert_used_count", GGUF_U32, 2, NULL })), 0);
}

/* -- Tokens ---------------------------------------------------------------------------------------------- */

struct token { const char *text; size_t len; };

static int tokens(const struct token *list, size_t n) {
    struct buf b;
    struct gguf g;
    struct facts f;
    buf_init(&b, 0);
    gguf_put_start(&b, 3, 0, 5);
    gguf_put_pair_text(&b, "general.architecture", "x");
    gguf_put_pair_u32(&b, "x.block_count", 1);
    gguf_put_pair_u32(&b, "x.context_length", 1);
    gguf_put_pair_u32(&b, "x.embedding_length", 1);
    gguf_put_array(&b, "tokenizer.ggml.tokens", GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) {
        gguf_put_u64(&b, list[i].len);
        buf_put(&b, list[i].text, list[i].len);
    }
    int rc = PERILUNE_ERR_NOMEM;
    if (!buf_failed(&b)) rc = gguf_read(&g, buf_get(&b), buf_len(&b), why, sizeof(why));
    if (rc == 0) {
        facts_read(&g, &f);
        rc = facts_check(&g, &f, why, sizeof(why));
        gguf_close(&g);
    }
    buf_deinit(&b);
    return rc;
}

/* The library aborts: a text that stands for two tokens; it cuts them at a NUL, and gives empty ones a name. */
TEST_FAULT(tokens_are_told_apart) {
    int rc = tokens((const struct token[]){ { "a", 1 }, { "b", 1 }, { "", 0 }, { "", 0 } }, 4);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    rc = tokens((const struct token[]){ { "a", 1 }, { "b", 1 }, { "a", 1 } }, 3);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, PERILUNE_ERR_INVAL);
    CHECK(strstr(why, "token 2, \"a\", has the text of another one") != NULL);
}

TEST_NOFAULT(tokens_as_the_library_reads_them) {
    CHECK_INT(tokens((const struct token[]){ { "a\0x", 3 }, { "a\0y", 3 } }, 2), PERILUNE_ERR_INVAL);
    CHECK_INT(tokens((const struct token[]){ { "[EMPTY_1]", 9 }, { "", 0 } }, 2), PERILUNE_ERR_INVAL);
    CHECK_INT(tokens((const struct token[]){ { "[EMPTY_0]", 9 }, { "", 0 } }, 2), 0);
    CHECK_INT(tokens(NULL, 0), PERILUNE_ERR_INVAL);
}

TEST_NOFAULT(tokens_that_bert_looks_up) {
    refused(WITH({ "tokenizer.ggml.model", GGUF_STRING, 0, "bert" }, { "llama.vocab_size", GGUF_U32, 50, NULL }),
            "'tokenizer.ggml.bos_token_id' is 101, and there are 50 tokens");
}

TEST_NOFAULT(vetting_a_file) {
    struct buf b;
    char path[64], text[GGUF_WHY + 100];
    buf_init(&b, 0);
    gguf_put_model(&b);
    gguf_file(&b, path);
    CHECK_INT(facts_vet(path, text, sizeof(text)), 0);
    CHECK_INT(truncate(path, (off_t)buf_len(&b) - 1), 0);
    CHECK_INT(facts_vet(path, text, sizeof(text)), PERILUNE_ERR_INVAL);
    CHECK(strncmp(text, path, strlen(path)) == 0 && strstr(text, "cut off") != NULL);
    unlink(path);
    CHECK_INT(facts_vet(path, text, sizeof(text)), PERILUNE_ERR_IO);
    buf_deinit(&b);
}
