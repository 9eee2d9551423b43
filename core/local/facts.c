/* facts.c -- what a model's file says of the model, and whether the library can be trusted with it.
 *
 *     gguf.c: is it a file? --> facts_is_model(): a model? --> facts_read() --> facts_check(): one that can be?
 *                                 split, LoRA, mmproj...        numbers          layers, heads, experts, tokens...
 *
 * The library reads "llama.block_count" and asserts that it is from 1 to 512; it divides by the number of heads; it
 * asserts that no text stands for two tokens.  What is checked here is what of that was found in its source (0.5.0:
 * load_hparams, the vocabulary, what the operators demand of shapes), for all architectures alike.  It is no proof:
 * architectures have keys of their own.  Who must not lose the process to a file from anywhere lets the engine run in
 * one of its own.
 *
 * What the library reports as an error of its own (a tensor that is missing, a shape that does not fit, an architecture
 * that it does not know) is left to it.
 *
 * MEMORY.  A position of a row keeps a key and a value of each layer: heads_kv * (key_length + value_length) numbers.
 * With a sliding window some layers keep fewer positions: then the number is a bound.  Layers without heads (Mamba,
 * RWKV) keep a state that does not grow, encoders keep nothing. */
#include "local/facts.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"

#define KEY_ROOM    160
#define WIDTH_MAX   (1u << 20)
#define HEADS_MAX   65536
#define POOLING_MAX 4

static int bad(char *why, size_t why_size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int bad(char *why, size_t why_size, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, why_size, fmt, ap);
    va_end(ap);
    slice_mute(why); /* names in it are somebody else's */
    return PERILUNE_ERR_INVAL;
}

/* "llama" and "block_count" -> "llama.block_count"; longer than it can be: a key that no file has. */
static const char *key_of(struct slice architecture, const char *name, char to[KEY_ROOM]) {
    int n = snprintf(to, KEY_ROOM, "%.*s.%s", SLICE_ARG(architecture), name);
    if (n < 0 || n >= KEY_ROOM) to[0] = '\0';
    return to;
}

static const struct gguf_pair *find(const struct gguf *g, const struct facts *f, const char *name) {
    char key[KEY_ROOM];
    return gguf_find(g, key_of(f->architecture, name, key));
}

static uint64_t number(const struct gguf *g, const struct facts *f, const char *name) {
    char key[KEY_ROOM];
    uint64_t n = 0;
    gguf_u64(g, key_of(f->architecture, name, key), &n);
    return n;
}

/* Of a layer: some models say one number for all, others a list. */
static uint64_t of_layer(const struct gguf *g, const struct gguf_pair *p, uint64_t layer, uint64_t otherwise) {
    uint64_t n = otherwise;
    gguf_u64_at(g, p, p != NULL && p->type == GGUF_ARRAY ? layer : 0, &n);
    return n;
}

/* -- Kinds of files ------------------------------------------------------------------------------ */

/* "model-00001-of-00003.gguf" */
static bool is_named_as_split(const char *path) {
    size_t n = strlen(path);
    unsigned no, of;
    char tail;
    if (n < 20) return false;
    return sscanf(path + n - 20, "-%5u-of-%5u.ggu%c", &no, &of, &tail) == 3 && of > 1;
}

int facts_is_model(const struct gguf *g, const char *path, char *why, size_t why_size) {
    struct slice type = gguf_string(g, "general.type"), architecture = gguf_string(g, "general.architecture");
    uint64_t splits = 0;
    gguf_u64(g, "split.count", &splits);
    if (splits > 1 || is_named_as_split(path))
        return bad(why, why_size, "is one part of a model that was split: join the parts with "
                                  "`llama-gguf-split --merge` and use the whole file");
    if (slice_eq(type, SLICE("adapter")) || gguf_find(g, "adapter.type") != NULL)
        return bad(why, why_size, "is a LoRA adapter, not a model: merge it into its base model "
                                  "(`llama-export-lora`) and use that file");
    if (slice_eq(type, SLICE("mmproj")) || slice_eq(architecture, SLICE("clip")))
        return bad(why, why_size, "is a projector (mmproj), the eyes or ears of a model, and not the model itself");
    if (slice_eq(type, SLICE("imatrix")))
        return bad(why, why_size, "is an importance matrix, which helps to quantize a model, and not a model");
    if (architecture.len == 0)
        return bad(why, why_size, "does not say its architecture (general.architecture): is it a model for llama.cpp?");
    if (g->tensor_count == 0)
        return bad(why, why_size, "holds no tensors: it is a vocabulary without the model");
    return 0;
}

/* -- Facts ------------------------------------------------------------------------------------------- */

static void read_tensors(const struct gguf *g, struct facts *f) {
    for (unsigned i = 0; i < g->tensor_count; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        f->uses[t->type].tensors++;
        f->uses[t->type].count += t->count;
        f->uses[t->type].bytes += t->bytes;
        f->parameters += t->count;
        f->weight_bytes += t->bytes;
    }
}

static void read_tokenizer(const struct gguf *g, struct facts *f) {
    const struct gguf_pair *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    f->tokenizer = gguf_string(g, "tokenizer.ggml.model");
    f->pre_tokenizer = gguf_string(g, "tokenizer.ggml.pre");
    f->chat_template = gguf_string(g, "tokenizer.chat_template");
    f->vocabulary = tokens != NULL && tokens->type == GGUF_ARRAY ? tokens->count : number(g, f, "vocab_size");
}

/* Numbers of a layer's keys and values, or 0 where they cannot be told.  Each factor is held to what the library takes,
 * so that nothing overflows with files that facts_check() has not seen. */
static uint64_t kv_of_layer(const struct gguf *g, const struct facts *f, uint64_t layer) {
    uint64_t heads = of_layer(g, find(g, f, "attention.head_count"), layer, 0);
    uint64_t kv = of_layer(g, find(g, f, "attention.head_count_kv"), layer, heads);
    if (heads == 0 || heads > HEADS_MAX || kv > HEADS_MAX || f->width > WIDTH_MAX) return 0;
    uint64_t key = of_layer(g, find(g, f, "attention.key_length"), layer, f->width / heads);
    uint64_t value = of_layer(g, find(g, f, "attention.value_length"), layer, f->width / heads);
    return key > WIDTH_MAX || value > WIDTH_MAX ? 0 : kv * (key + value);
}

static void read_attention(const struct gguf *g, struct facts *f) {
    uint64_t causal = 1, pooling;
    char key[KEY_ROOM];
    gguf_u64(g, key_of(f->architecture, "attention.causal", key), &causal);
    f->causal = causal != 0;
    f->pooling = gguf_u64(g, key_of(f->architecture, "pooling_type", key), &pooling) && pooling <= INT32_MAX
                     ? (int)pooling : -1;
    f->heads = of_layer(g, find(g, f, "attention.head_count"), 0, 0);
    f->heads_kv = of_layer(g, find(g, f, "attention.head_count_kv"), 0, f->heads);
    f->window = number(g, f, "attention.sliding_window");
    if (!f->causal || f->layers > FACTS_LAYERS) return;
    for (uint64_t i = 0; i < f->layers; i++) f->kv_per_token += kv_of_layer(g, f, i);
}

void facts_read(const struct gguf *g, struct facts *out) {
    *out = (struct facts){ .architecture = gguf_string(g, "general.architecture"), .pooling = -1 };
    out->name = gguf_string(g, "general.name");
    out->licence = gguf_string(g, "general.license");
    out->size_label = gguf_string(g, "general.size_label");
    out->context = number(g, out, "context_length");
    out->width = number(g, out, "embedding_length");
    out->layers = number(g, out, "block_count");
    out->feed_forward = of_layer(g, find(g, out, "feed_forward_length"), 0, 0);
    out->experts = number(g, out, "expert_count");
    out->experts_used = of_layer(g, find(g, out, "expert_used_count"), 0, 0);
    read_tokenizer(g, out);
    read_attention(g, out);
    read_tensors(g, out);
}

/* -- What would end the process ------------------------------------------------------------------------- */

struct range {
    const char *name;
    uint64_t    min, max;
};

static int check_ranges(const struct gguf *g, const struct facts *f, char *why, size_t why_size) {
    const struct range ranges[] = {
        { "block_count", 1, FACTS_LAYERS },
        { "context_length", 1, INT32_MAX },
        { "embedding_length", 1, WIDTH_MAX },
        { "expert_count", 0, FACTS_EXPERTS },
        { "pooling_type", 0, POOLING_MAX },
        { "nextn_predict_layers", 0, f->layers },
        { "attention.key_length", 1, WIDTH_MAX },
        { "attention.value_length", 1, WIDTH_MAX },
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
        const struct gguf_pair *p = find(g, f, ranges[i].name);
        uint64_t n = ranges[i].max + 1;
        if (p == NULL && i > 2) continue; /* the first three each model has */
        if (p == NULL) return bad(why, why_size, "has no '%.*s.%s'", SLICE_ARG(f->architecture), ranges[i].name);
        if (p->type == GGUF_ARRAY && i > 5) continue; /* lengths may differ by layer */
        if (gguf_u64_at(g, p, 0, &n) && p->type != GGUF_ARRAY && n >= ranges[i].min && n <= ranges[i].max) continue;
        return bad(why, why_size, "byte %zu: '%s' is not a number from %" PRIu64 " to %" PRIu64, p->at, ranges[i].name,
                   ranges[i].min, ranges[i].max);
    }
    return 0;
}

/* A list for layers has one number for each; the library reads as many as there are layers. */
static int check_lists(const struct gguf *g, const struct facts *f, char *why, size_t why_size) {
    static const char *const lists[] = { "attention.head_count", "attention.head_count_kv", "feed_forward_length",
                                         "expert_used_count" };
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        const struct gguf_pair *p = find(g, f, lists[i]);
        uint64_t n;
        if (p == NULL) continue;
        if (p->type == GGUF_ARRAY && p->count != f->layers)
            return bad(why, why_size, "byte %zu: '%s' has %" PRIu64 " elements for %" PRIu64 " layers", p->at, lists[i],
                       p->count, f->layers);
        for (uint64_t k = 0; k < p->count; k++)
            if (!gguf_u64_at(g, p, k, &n) || n > INT32_MAX)
                return bad(why, why_size, "byte %zu: '%s' is not a number from 0 to %d", p->at, lists[i], INT32_MAX);
    }
    return 0;
}

static int check_heads(const struct gguf *g, const struct facts *f, char *why, size_t why_size) {
    const struct gguf_pair *heads = find(g, f, "attention.head_count"), *kv = find(g, f, "attention.head_count_kv");
    for (uint64_t i = 0; heads != NULL && i < f->layers; i++) {
        uint64_t n = of_layer(g, heads, i, 0), m = of_layer(g, kv, i, n);
        if (n == 0) continue; /* a layer without attention */
        if (n > HEADS_MAX || m > n)
            return bad(why, why_size, "byte %zu: layer %" PRIu64 " has %" PRIu64 " heads of attention and %" PRIu64
                       " of keys", heads->at, i, n, m);
        if (m > 0 && n % m != 0)
            return bad(why, why_size, "byte %zu: %" PRIu64 " heads of attention are no multiple of %" PRIu64
                       " of keys, in layer %" PRIu64, heads->at, n, m, i);
    }
    if (f->causal || f->heads > 0) return 0;
    return bad(why, why_size, "is an encoder without 'attention.head_count'");
}

static int check_rope(const struct gguf *g, const struct facts *f, char *why, size_t why_size) {
    static const char *const known[] = { "none", "linear", "yarn", "longrope" };
    char key[KEY_ROOM];
    const struct gguf_pair *dims = find(g, f, "rope.dimension_count"), *type = find(g, f, "rope.scaling.type");
    uint64_t n = 0;
    if (dims != NULL && (!gguf_u64_at(g, dims, 0, &n) || n % 2 != 0 || n > WIDTH_MAX))
        return bad(why, why_size, "byte %zu: 'rope.dimension_count' is not an even number", dims->at);
    if (type == NULL) return 0;
    struct slice s = gguf_string(g, key_of(f->architecture, "rope.scaling.type", key));
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (slice_eq(s, slice_str(known[i]))) return 0;
    return bad(why, why_size, "byte %zu: 'rope.scaling.type' is none of none, linear, yarn, longrope", type->at);
}

static int check_experts(const struct gguf *g, const struct facts *f, char *why, size_t why_size) {
    const struct gguf_pair *used = find(g, f, "expert_used_count");
    uint64_t groups = number(g, f, "expert_group_count"), chosen = number(g, f, "expert_group_used_count"), most = 0;
    for (uint64_t i = 0; i < f->layers; i++) {
        uint64_t n = of_layer(g, used, i, 0);
        if (n > most) most = n;
    }
    bool good = f->experts == 0 ? most == 0 && groups == 0 : most > 0 && most <= f->experts && groups < f->experts;
    if (good && groups > 1) good = f->experts % groups == 0 && chosen > 0 && chosen < groups;
    if (good) return 0;
    return bad(why, why_size, "%" PRIu64 " of %" PRIu64 " experts in %" PRIu64 " of %" PRIu64 " groups cannot be", most,
               f->experts, chosen, groups);
}

/* What square roots are taken of. */
static int check_epsilons(const struct gguf *g, const struct facts *f, char *why, size_t why_size) {
    static const char *const names[] = { "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon",
                                         "attention.group_norm_epsilon" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const struct gguf_pair *p = find(g, f, names[i]);
        double v = -1;
        if (p == NULL || (gguf_number_at(g, p, 0, &v) && isfinite(v) && v >= 0)) continue;
        return bad(why, why_size, "byte %zu: '%s' is not a number of 0 or more", p->at, names[i]);
    }
    return 0;
}

/* -- Tokens ----------------------------------------------------------------------------------------------- */

struct texts {
    struct slice   *list;
    uint32_t       *places; /* index + 1 */
    uint64_t        mask;
    struct hash_key key;    /* nobody can make a file of texts that meet */
};

static bool texts_add(struct texts *t, uint32_t i) {
    uint64_t at = hash64(&t->key, t->list[i]);
    for (; t->places[at & t->mask] != 0; at++)
        if (slice_eq(t->list[i], t->list[t->places[at & t->mask] - 1])) return false;
    t->places[at & t->mask] = i + 1;
    return true;
}

/* The library takes texts up to a NUL, and one that is empty as "[EMPTY_17]". */
static int check_texts(struct texts *t, const struct gguf *g, const struct gguf_pair *p, char *why, size_t why_size) {
    struct gguf_strings all;
    struct arena arena;
    char made[32];
    int rc = 0;
    arena_init(&arena);
    gguf_strings(g, p, &all);
    size_t at = all.at;
    for (uint32_t i = 0; rc == 0 && gguf_next(&all, &t->list[i]); at = all.at, i++) {
        const char *nul = t->list[i].len > 0 ? memchr(t->list[i].ptr, '\0', t->list[i].len) : NULL;
        if (nul != NULL) t->list[i].len = (size_t)(nul - t->list[i].ptr);
        if (t->list[i].len == 0) {
            snprintf(made, sizeof(made), "[EMPTY_%" PRIu32 "]", i);
            t->list[i] = slice_str(arena_dup(&arena, slice_str(made)));
            if (t->list[i].ptr == NULL) rc = PERILUNE_ERR_NOMEM;
        }
        if (rc == 0 && !texts_add(t, i)) {
            char text[60];
            slice_copy(text, sizeof(text), t->list[i]);
            slice_mute(text);
            rc = bad(why, why_size, "byte %zu: token %" PRIu32 ", \"%s\", has the text of another one", at, i, text);
        }
    }
    arena_deinit(&arena);
    return rc;
}

static int check_tokens(const struct gguf *g, char *why, size_t why_size) {
    const struct gguf_pair *p = gguf_find(g, "tokenizer.ggml.tokens");
    if (p == NULL || p->of != GGUF_STRING || p->type != GGUF_ARRAY) return 0; /* the library says so itself */
    if (p->count == 0 || p->count > FACTS_TOKENS)
        return bad(why, why_size, "byte %zu: %" PRIu64 " tokens are not 1 to %u", p->at, p->count, FACTS_TOKENS);
    uint64_t room = 16;
    while (room < p->count * 2) room *= 2;
    struct texts t = { mem_alloc((size_t)p->count * sizeof(*t.list)), mem_zalloc((size_t)room * sizeof(*t.places)),
                       room - 1, { 0, 0 } };
    hash_key_random(&t.key);
    int rc = t.list != NULL && t.places != NULL ? check_texts(&t, g, p, why, why_size) : PERILUNE_ERR_NOMEM;
    mem_free(t.list);
    mem_free(t.places);
    return rc;
}

/* "bert" takes token 103 for the mask where the file says no other; a vocabulary must have the tokens that are
 * looked up without being asked for. */
static int check_special(const struct gguf *g, const struct facts *f, char *why, size_t why_size) {
    static const struct { const char *key; unsigned otherwise; } bert[] = {
        { "tokenizer.ggml.bos_token_id", 101 }, { "tokenizer.ggml.unknown_token_id", 100 },
        { "tokenizer.ggml.seperator_token_id", 102 }, { "tokenizer.ggml.padding_token_id", 0 },
        { "tokenizer.ggml.mask_token_id", 103 },
    };
    if (!slice_eq(f->tokenizer, SLICE("bert"))) return 0;
    for (size_t i = 0; i < sizeof(bert) / sizeof(*bert); i++) {
        uint64_t id = bert[i].otherwise;
        gguf_u64(g, bert[i].key, &id);
        if (id >= f->vocabulary && id != UINT32_MAX)
            return bad(why, why_size, "'%s' is %" PRIu64 ", and there are %" PRIu64 " tokens", bert[i].key, id,
                       f->vocabulary);
    }
    return 0;
}

int facts_check(const struct gguf *g, const struct facts *f, char *why, size_t why_size) {
    snprintf(why, why_size, "out of memory");
    int rc = check_ranges(g, f, why, why_size);
    if (rc == 0) rc = check_lists(g, f, why, why_size);
    if (rc == 0) rc = check_heads(g, f, why, why_size);
    if (rc == 0) rc = check_rope(g, f, why, why_size);
    if (rc == 0) rc = check_experts(g, f, why, why_size);
    if (rc == 0) rc = check_epsilons(g, f, why, why_size);
    if (rc == 0) rc = check_special(g, f, why, why_size);
    if (rc == 0) rc = check_tokens(g, why, why_size);
    return rc;
}

int facts_vet_numbers(const char *path, struct facts *out, char *why, size_t why_size) {
    struct gguf g;
    char text[GGUF_WHY];
    *out = (struct facts){ .pooling = -1 };
    int rc = gguf_open(&g, path, text, sizeof(text));
    if (rc == 0) rc = facts_is_model(&g, path, text, sizeof(text));
    if (rc == 0) {
        facts_read(&g, out);
        rc = facts_check(&g, out, text, sizeof(text));
    }
    gguf_close(&g); /* what texts were borrowed from */
    out->architecture = out->name = out->licence = out->size_label = SLICE("");
    out->tokenizer = out->pre_tokenizer = out->chat_template = SLICE("");
    if (rc != 0) snprintf(why, why_size, "%s: %s", path, text);
    return rc;
}

int facts_vet(const char *path, char *why, size_t why_size) {
    struct facts f;
    return facts_vet_numbers(path, &f, why, why_size);
}
