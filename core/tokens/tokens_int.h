/* tokens_int.h -- the inside of a counter, for tokens.c and tokens_chat.c. */
#ifndef PERILUNE_TOKENS_TOKENS_INT_H
#define PERILUNE_TOKENS_TOKENS_INT_H

#include "base/hash.h"
#include "tokens/bpe.h"
#include "tokens/tokens.h"

struct tokens_slot { /* a vocabulary in use */
    struct bpe *bpe;
    uint64_t    serial; /* never given twice: part of the key of what is remembered */
    uint64_t    used;
};

#define TOKENS_SLOTS 8

struct tokens_memory;

struct tokens {
    struct hash_long_key  key;
    bool                  keyed;
    struct tokens_slot    slots[TOKENS_SLOTS];
    uint64_t              serial, clock;
    struct tokens_memory *memory;
    struct buf            text;   /* a stretch that is put together */
    size_t                error_offset;
    uint64_t              found, counted;
};

/* One question under way.  Errors stick: after one, all is a no-op. */
struct tokens_run {
    struct tokens           *t;
    struct tokens_slot      *slot;
    const struct tokens_ask *ask;
    const struct json_doc   *doc;
    uint64_t                 total;
    size_t                   since; /* bytes since go_on() was asked */
    bool                     exact, over;
    int                      rc;
};

static inline bool run_is_over(const struct tokens_run *r) { return r->rc != 0 || r->over; }

/* Adds n tokens; notices when there are too many. */
void run_add(struct tokens_run *r, uint64_t n);
/* Adds the tokens of a text, of a string of the document, of r->t->text. */
void run_text(struct tokens_run *r, struct slice text);
void run_string(struct tokens_run *r, uint32_t node);
void run_stretch(struct tokens_run *r);
/* Begins a stretch: r->t->text is empty and to be filled. */
struct buf *run_begin(struct tokens_run *r);

/* What is remembered of raw: adds it and returns true. */
bool run_recall(struct tokens_run *r, struct slice raw, unsigned kind, struct hash128 *key);
/* Remembers under that key that it was `tokens`. */
void run_remember(struct tokens_run *r, const struct hash128 *key, uint64_t tokens, bool exact);

/* tokens_chat.c */
void run_body(struct tokens_run *r);
void run_message(struct tokens_run *r, uint32_t message, bool padded);

#endif
