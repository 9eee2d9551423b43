/* bpe_stream.c -- counts a text while it arrives.
 *
 *     counted ............. | pending
 *                           ^ a letter before it, a space or punctuation after it
 *
 * Where a piece ends can depend on what follows: letters may go on, white space gives
 * its last character to the next word, capitals wait for a small letter.  But in every
 * rule a letter's piece ends where white space or punctuation follows (the apostrophe
 * aside), and none looks back.  So the text can be cut there and counted apart, unless
 * an added token holds just these two characters.  Normalization does not reach across
 * either: what follows is a starter.
 *
 * New text is looked at when as much as is pending came in, so that a run without such
 * a place, fed a byte at a time, is not scanned again for each byte: the time of
 * feeding is linear.  Asking for the count costs what is pending.
 *
 * Thread: the one that owns the struct bpe. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/special_tokens.h"
#include "tokens/bpe_int.h"
#include "tokens/unicode.h"

#define LOOK_SIZE 1024 /* pending bytes that are not worth a look */
#define MAX_TRIES 64   /* places that added tokens forbid, before the look is given up */

struct bpe_stream {
    struct bpe *b;
    struct buf  pending;
    size_t      counted;
    size_t      look_at; /* pending size at which it is looked at again */
};

struct bpe_stream *bpe_stream_new(struct bpe *b) {
    struct bpe_stream *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return NULL;
    s->b = b;
    s->look_at = LOOK_SIZE;
    buf_init(&s->pending, 0);
    return s;
}

void bpe_stream_free(struct bpe_stream *s) {
    if (s == NULL) return;
    buf_deinit(&s->pending);
    mem_free(s);
}

static bool may_follow(unsigned class, unsigned char first) {
    return first != '\'' && (class == UC_SPACE || class == UC_NEWLINE || class == UC_PUNCT || class == UC_SYMBOL);
}

static bool is_letter(unsigned class) { return class == UC_UPPER || class == UC_LOWER || class == UC_LETTER; }

/* The last place where text, well-formed, can be cut into two that are counted apart; 0:
 * none was found. */
static size_t last_cut(const struct vocab *v, struct slice text) {
    const unsigned char *begin = (const unsigned char *)text.ptr, *end = begin + text.len, *p = end;
    unsigned after = UC_OTHER, tries = 0;
    const unsigned char *after_at = end;
    if (v->split == PRETOKENIZE_NONE) return 0; /* merging reaches everywhere */
    while (p > begin && tries < MAX_TRIES) {
        do p--;
        while (p > begin && (*p & 0xC0) == 0x80);
        uint32_t c = 0;
        unsigned class = unicode_decode(p, end, &c) == 0 ? (unsigned)UC_OTHER : unicode_class(c);
        if (after_at < end && is_letter(class) && may_follow(after, *after_at)) {
            uint32_t next;
            size_t len = (size_t)(after_at - p) + unicode_decode(after_at, end, &next);
            if (!special_tokens_holds(v->added, slice_of((const char *)p, len))) return (size_t)(after_at - begin);
            tries++;
        }
        after = class;
        after_at = p;
    }
    return 0;
}

/* Well-formed as far as it goes: the rest is the beginning of a character, or an error. */
static bool can_go_on(struct slice rest) {
    static const unsigned char next[] = "\x80\x80\x80";
    char c[8];
    for (unsigned low = 0; low < 3; low++) { /* which second byte is allowed depends on the first */
        static const unsigned char second[] = { 0x80, 0x90, 0xA0 };
        for (size_t len = rest.len + 1; len <= 4; len++) {
            memcpy(c, rest.ptr, rest.len);
            memcpy(c + rest.len, next, len - rest.len);
            if (rest.len == 1) c[1] = (char)second[low];
            uint32_t x;
            if (unicode_decode((unsigned char *)c, (unsigned char *)c + len, &x) == len) return true;
        }
    }
    return false;
}

static int look(struct bpe_stream *s) {
    struct slice text = buf_get(&s->pending);
    size_t valid = utf8_valid_prefix(text), n;
    if (text.len - valid > 3 || (valid < text.len && !can_go_on(slice_of(text.ptr + valid, text.len - valid))))
        return PERILUNE_ERR_INVAL;
    size_t cut = last_cut(s->b->v, slice_of(text.ptr, valid));
    if (cut > 0) {
        int rc = bpe_count(s->b, slice_of(text.ptr, cut), 0, BPE_NO_LIMIT, &n);
        if (rc != 0) return rc;
        s->counted += n;
        buf_consume(&s->pending, cut);
    }
    size_t left = buf_len(&s->pending);
    s->look_at = 2 * left > LOOK_SIZE ? 2 * left : LOOK_SIZE;
    return 0;
}

int bpe_stream_feed(struct bpe_stream *s, struct slice bytes) {
    buf_slice(&s->pending, bytes);
    if (buf_failed(&s->pending)) return PERILUNE_ERR_NOMEM;
    return buf_len(&s->pending) < s->look_at ? 0 : look(s);
}

int bpe_stream_count(struct bpe_stream *s, size_t *out) {
    struct slice text = buf_get(&s->pending);
    size_t valid = utf8_valid_prefix(text), n;
    *out = 0;
    if (text.len - valid > 3 || (valid < text.len && !can_go_on(slice_of(text.ptr + valid, text.len - valid))))
        return PERILUNE_ERR_INVAL;
    int rc = bpe_count(s->b, slice_of(text.ptr, valid), 0, BPE_NO_LIMIT, &n);
    if (rc == 0) *out = s->counted + n;
    return rc;
}
