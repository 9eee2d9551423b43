/* facts.h -- what a model's file says of the model, and whether the library can be trusted with it. See facts.c. */
#ifndef PERILUNE_LOCAL_FACTS_H
#define PERILUNE_LOCAL_FACTS_H

#include "local/gguf.h"
#include "local/gguf_types.h"

#define FACTS_LAYERS  512       /* the library's limits */
#define FACTS_EXPERTS 1024
#define FACTS_TOKENS  (1u << 22) /* of a vocabulary; today's have 262,144 */

struct facts_use { /* of a type of tensors */
    unsigned tensors;
    uint64_t count, bytes; /* numbers */
};

/* Slices are borrowed from the file's header.  0 and empty: the file does not say. */
struct facts {
    struct slice     architecture, name, licence, size_label, tokenizer, pre_tokenizer, chat_template;
    uint64_t         context, width, layers, feed_forward, heads, heads_kv, experts, experts_used, window;
    uint64_t         vocabulary;   /* tokens */
    int              pooling;      /* -1: the file does not say; 0 none, 1 mean, 2 cls, 3 last, 4 rank */
    bool             causal;       /* false: an encoder, for embeddings */
    uint64_t         parameters, weight_bytes;
    uint64_t         kv_per_token; /* numbers that a position of a row takes; at most, with a window */
    struct facts_use uses[GGUF_TYPES];
};

/* Is this a whole model, one that runs by itself?  Splits, LoRA adapters, projectors and the like are refused with a
 * sentence.  path: for names of the form x-00001-of-00003.gguf.  0 or PERILUNE_ERR_INVAL. */
int facts_is_model(const struct gguf *g, const char *path, char *why, size_t why_size);

/* The facts, whatever they are: nothing is refused. */
void facts_read(const struct gguf *g, struct facts *out);

/* Would the library end the process with a model of these facts, as far as is known?  0; PERILUNE_ERR_INVAL with a
 * sentence; PERILUNE_ERR_NOMEM. */
int facts_check(const struct gguf *g, const struct facts *f, char *why, size_t why_size);

/* All of it, for who is about to give the file to the library: the shape, the kind, the facts.  0 or an error with
 * "PATH: sentence" in why. */
int facts_vet(const char *path, char *why, size_t why_size);
/* The same, and what the facts say in numbers; texts are empty. */
int facts_vet_numbers(const char *path, struct facts *out, char *why, size_t why_size);

#endif
