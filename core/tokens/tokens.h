/* tokens.h -- how many tokens a text or a whole chat request is, as the upstream will
 * count it.  See tokens.c and tokens_chat.c.
 *
 * Thread: a `struct tokens` belongs to one thread. */
#ifndef PERILUNE_TOKENS_TOKENS_H
#define PERILUNE_TOKENS_TOKENS_H

#include "base/json.h"
#include "tokens/models.h"

struct tokens;

#define TOKENS_NO_LIMIT UINT64_MAX

/* What is asked, with which patience. */
struct tokens_ask {
    struct model model;
    uint64_t     limit;         /* stop when there are more: the answer is then limit + 1 */
    /* NULL, or asked about every 64 KiB of text: false gives up (PERILUNE_ERR_CANCELED). */
    bool       (*go_on)(void *ud);
    void        *ud;
};

struct tokens_count {
    uint64_t tokens;
    bool     exact; /* the vocabulary is the model's own, and every rule that was used is published */
};

/* NULL: no memory.  Costs nothing until it is used; then 1 MiB for remembered messages
 * and up to 3.5 MiB for each of at most 8 vocabularies. */
struct tokens *tokens_new(void);
void           tokens_free(struct tokens *t); /* t may be NULL */
/* Gives up vocabularies that are not in m: another configuration is in force. */
void           tokens_keep(struct tokens *t, const struct models *m);

/* All return 0, PERILUNE_ERR_INVAL (not UTF-8; tokens_error_offset() says where),
 * PERILUNE_ERR_NOMEM or PERILUNE_ERR_CANCELED; then *out is 0. */
int tokens_text(struct tokens *t, const struct tokens_ask *ask, struct slice text, struct tokens_count *out);
/* A request's body: chat completions, completions, embeddings; of other JSON the text.
 * Messages that came before are looked up. */
int tokens_body(struct tokens *t, const struct tokens_ask *ask, const struct json_doc *doc, struct tokens_count *out);
/* One message of it (the node of an object), with what the form puts around it. */
int tokens_message(struct tokens *t, const struct tokens_ask *ask, const struct json_doc *doc, uint32_t message,
                   struct tokens_count *out);
/* *bytes = the longest prefix of text of at most `most` tokens, cut between tokens and
 * not inside a character. */
int tokens_truncate(struct tokens *t, const struct model *model, struct slice text, uint64_t most, size_t *bytes);
size_t tokens_error_offset(const struct tokens *t);

/* For tests and benchmarks: messages found, and counted anew. */
void tokens_stats(const struct tokens *t, uint64_t *found, uint64_t *counted);

#endif
