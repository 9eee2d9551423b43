/* tokens.c -- a thread's counter: tokenizers, and what was counted before.
 *
 *     request --> message --hash--> memory --hit---> + remembered tokens
 *                                      \---miss--> form (tokens_chat.c) --> bpe --> memory
 *
 * Chat templates put special tokens around every message, and no token reaches across
 * a special one.  So a conversation's tokens are the sum over its messages, and a
 * message that came before need not be counted again: a conversation that grows by a
 * message pays for hashing what is old (NH, 20 GB/s) and for tokenizing what is new.
 *
 * The key is 128 bits of the message's JSON as it came, of the tokenizer, the form and
 * the rule for images; the hash has a secret key, so nobody makes a long message be taken
 * for a short one.  Memory is 65536 entries in sets of four, 1 MiB; in each set the one
 * that was not used for the longest time goes.  Nothing in it is ever out of date.
 *
 * A tokenizer's word cache is 3.5 MiB, so at most eight are kept, the least used goes.
 *
 * A very long text is counted in pieces (bpe_stream), and between them whoever waits is
 * asked whether to go on: counting 10 MB takes longer than a policy may run.
 *
 * Does not know upstreams or requests, and not what upstreams say they counted: that is
 * calibration.c. */
#include "tokens/tokens.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/tokens_int.h"

#define PIECE (64 * 1024) /* bytes between two askings */
#define FAR   (256 * 1024) /* tokens: with a limit that is nearer a text is counted up to it, in one go */
#define KEEP_TEXT (1024 * 1024) /* a buffer that one large request left behind is given back above this */

/* -- Memory ------------------------------------------------------------------------- */

#define SET_BITS 14 /* 16384 sets of WAYS entries of 16 bytes: 1 MiB */
#define WAYS     4

struct entry {
    uint64_t high;
    uint32_t low;    /* the other bits choose the set */
    uint32_t tokens; /* twice, plus one when exact; 0: free */
};

struct tokens_memory { struct entry sets[1u << SET_BITS][WAYS]; };

static struct entry *set_of(struct tokens *t, const struct hash128 *h) {
    return t->memory->sets[h->low >> (64 - SET_BITS)];
}

static void to_front(struct entry *set, unsigned i, struct entry e) {
    for (; i > 0; i--) set[i] = set[i - 1];
    set[0] = e;
}

bool run_recall(struct tokens_run *r, struct slice raw, unsigned kind, struct hash128 *key) {
    struct tokens *t = r->t;
    const struct model *m = &r->ask->model;
    uint64_t with = ((r->slot->serial * FORM_KINDS + m->form) * 8 + kind) * 0x9E3779B97F4A7C15u;
    *key = hash_long(&t->key, raw, with ^ (uint64_t)(uintptr_t)m->image);
    if (t->memory == NULL) return false;
    struct entry *set = set_of(t, key);
    for (unsigned i = 0; i < WAYS; i++) {
        struct entry e = set[i];
        if (e.high != key->high || e.low != (uint32_t)key->low || e.tokens == 0) continue;
        to_front(set, i, e);
        t->found++;
        if ((e.tokens & 1) == 0) r->exact = false;
        run_add(r, e.tokens >> 1);
        return true;
    }
    return false;
}

void run_remember(struct tokens_run *r, const struct hash128 *key, uint64_t tokens, bool exact) {
    struct tokens *t = r->t;
    t->counted++;
    if (t->memory == NULL) t->memory = mem_zalloc(sizeof(*t->memory));
    if (t->memory == NULL || tokens == 0 || tokens >= 1u << 31) return; /* then it is counted again */
    struct entry *set = set_of(t, key);
    to_front(set, WAYS - 1, (struct entry){ .high = key->high, .low = (uint32_t)key->low,
                                            .tokens = (uint32_t)tokens << 1 | exact });
}

/* -- Tokenizers ------------------------------------------------------------------------ */

static void drop(struct tokens_slot *s) {
    bpe_free(s->bpe);
    *s = (struct tokens_slot){ .bpe = NULL };
}

/* NULL: no memory. */
static struct tokens_slot *slot_of(struct tokens *t, struct vocab *v) {
    struct tokens_slot *oldest = &t->slots[0];
    for (struct tokens_slot *s = t->slots; s < t->slots + TOKENS_SLOTS; s++) {
        if (s->bpe != NULL && bpe_vocab(s->bpe) == v) {
            s->used = ++t->clock;
            return s;
        }
        if (s->used < oldest->used) oldest = s;
    }
    struct bpe *b = bpe_new(v);
    if (b == NULL) return NULL;
    drop(oldest);
    *oldest = (struct tokens_slot){ .bpe = b, .serial = ++t->serial, .used = ++t->clock };
    return oldest;
}

struct tokens *tokens_new(void) {
    struct tokens *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return NULL;
    buf_init(&t->text, 0);
    return t;
}

void tokens_free(struct tokens *t) {
    if (t == NULL) return;
    for (unsigned i = 0; i < TOKENS_SLOTS; i++) drop(&t->slots[i]);
    buf_deinit(&t->text);
    mem_free(t->memory);
    mem_free(t);
}

void tokens_keep(struct tokens *t, const struct models *m) {
    for (unsigned i = 0; i < TOKENS_SLOTS; i++)
        if (t->slots[i].bpe != NULL && !models_use(m, bpe_vocab(t->slots[i].bpe))) drop(&t->slots[i]);
}

/* -- A question --------------------------------------------------------------------------- */

void run_add(struct tokens_run *r, uint64_t n) {
    r->total += n;
    if (r->total > r->ask->limit) r->over = true;
}

/* Every PIECE bytes. */
static void breathe(struct tokens_run *r, size_t bytes) {
    r->since += bytes;
    if (r->since < PIECE || r->ask->go_on == NULL) return;
    r->since = 0;
    if (!r->ask->go_on(r->ask->ud)) r->rc = PERILUNE_ERR_CANCELED;
}

/* Nobody knows how many tokens there are before the end: only where all are wanted. */
static void in_pieces(struct tokens_run *r, struct slice text) {
    struct bpe_stream *s = bpe_stream_new(r->slot->bpe);
    size_t n = 0;
    if (s == NULL) r->rc = PERILUNE_ERR_NOMEM;
    for (size_t at = 0; at < text.len && r->rc == 0; at += PIECE) {
        size_t len = text.len - at < PIECE ? text.len - at : PIECE;
        r->rc = bpe_stream_feed(s, slice_of(text.ptr + at, len));
        if (r->rc == 0) breathe(r, len);
    }
    if (r->rc == 0) r->rc = bpe_stream_count(s, &n);
    if (r->rc == 0) run_add(r, n);
    bpe_stream_free(s);
}

void run_text(struct tokens_run *r, struct slice text) {
    if (run_is_over(r) || text.len == 0) return;
    uint64_t left = r->ask->limit - r->total;
    if (text.len > PIECE && left >= FAR) {
        size_t good = utf8_valid_prefix(text);
        if (good == text.len) in_pieces(r, text);
        else r->rc = PERILUNE_ERR_INVAL;
        r->t->error_offset = good;
        return;
    }
    size_t n = 0;
    r->rc = bpe_count(r->slot->bpe, text, 0, left < SIZE_MAX ? (size_t)left : BPE_NO_LIMIT, &n);
    if (r->rc == PERILUNE_ERR_INVAL) r->t->error_offset = bpe_error_offset(r->slot->bpe);
    run_add(r, n);
    if (!run_is_over(r)) breathe(r, text.len);
}

struct buf *run_begin(struct tokens_run *r) {
    buf_clear(&r->t->text);
    return &r->t->text;
}

void run_stretch(struct tokens_run *r) {
    struct buf *b = &r->t->text;
    if (buf_failed(b)) r->rc = b->error;
    else run_text(r, buf_get(b));
    if (b->cap > KEEP_TEXT) buf_deinit(b);
}

void run_string(struct tokens_run *r, uint32_t node) {
    if (!r->doc->nodes[node].escaped) {
        run_text(r, json_plain(r->doc, node));
        return;
    }
    json_decode_string(r->doc, node, run_begin(r));
    run_stretch(r);
}

static bool begin(struct tokens *t, const struct tokens_ask *ask, const struct json_doc *doc, struct tokens_run *r) {
    if (!t->keyed) hash_long_key_random(&t->key);
    t->keyed = true;
    *r = (struct tokens_run){ .t = t, .slot = slot_of(t, ask->model.vocab), .ask = ask, .doc = doc,
                              .exact = ask->model.exact };
    return r->slot != NULL;
}

static int end(const struct tokens_run *r, struct tokens_count *out) {
    *out = (struct tokens_count){ .tokens = r->over ? r->ask->limit + 1 : r->total, .exact = r->exact };
    if (r->rc != 0) *out = (struct tokens_count){ .tokens = 0 };
    return r->rc;
}

/* -- Public ---------------------------------------------------------------------------------- */

int tokens_text(struct tokens *t, const struct tokens_ask *ask, struct slice text, struct tokens_count *out) {
    struct tokens_run r;
    *out = (struct tokens_count){ .tokens = 0 };
    if (!begin(t, ask, NULL, &r)) return PERILUNE_ERR_NOMEM;
    run_text(&r, text);
    return end(&r, out);
}

int tokens_body(struct tokens *t, const struct tokens_ask *ask, const struct json_doc *doc, struct tokens_count *out) {
    struct tokens_run r;
    *out = (struct tokens_count){ .tokens = 0 };
    if (!begin(t, ask, doc, &r)) return PERILUNE_ERR_NOMEM;
    run_body(&r);
    return end(&r, out);
}

int tokens_message(struct tokens *t, const struct tokens_ask *ask, const struct json_doc *doc, uint32_t message,
                   struct tokens_count *out) {
    struct tokens_run r;
    *out = (struct tokens_count){ .tokens = 0 };
    if (!begin(t, ask, doc, &r)) return PERILUNE_ERR_NOMEM;
    run_message(&r, message, false);
    return end(&r, out);
}

int tokens_truncate(struct tokens *t, const struct model *model, struct slice text, uint64_t most, size_t *bytes) {
    *bytes = 0;
    struct tokens_slot *s = slot_of(t, model->vocab);
    if (s == NULL) return PERILUNE_ERR_NOMEM;
    int rc = bpe_truncate(s->bpe, text, most < SIZE_MAX ? (size_t)most : SIZE_MAX, bytes);
    if (rc == PERILUNE_ERR_INVAL) t->error_offset = bpe_error_offset(s->bpe);
    return rc;
}

size_t tokens_error_offset(const struct tokens *t) { return t->error_offset; }

void tokens_stats(const struct tokens *t, uint64_t *found, uint64_t *counted) {
    *found = t->found;
    *counted = t->counted;
}
