/* bpe_prefix.c -- the longest beginning of a text that has at most so many tokens.
 *
 * The tokens of the text are walked with the places where they end; the last place
 * within the limit that is not inside a character is the answer.  It is counted again
 * by itself, because a beginning may be cut into other pieces than the same bytes
 * within the text ("  b" keeps a space for the word, "  " does not), and given up token
 * by token until it fits.  For the same reason white space behind it may cost nothing:
 * ends of tokens there are tried, too.
 *
 * When the vocabulary normalizes and this text changes by it, ends of tokens are no
 * places in the text.  Then the answer is searched by halving, among the ends of
 * characters.
 *
 * Thread: the one that owns the struct bpe. */
#include "base/json.h"
#include "include/perilune.h"
#include "tokens/bpe_int.h"
#include "tokens/nfc.h"
#include "tokens/unicode.h"

#define AHEAD 4 /* tokens that are looked at behind the prefix */

static bool is_inside(struct slice text, size_t at) {
    return at < text.len && ((unsigned char)text.ptr[at] & 0xC0) == 0x80;
}

static int fits(struct bpe *b, struct slice text, size_t at, size_t max, bool *out) {
    size_t n;
    int rc = bpe_count(b, slice_of(text.ptr, at), 0, max, &n);
    *out = rc == 0 && n <= max;
    return rc;
}

static int by_halving(struct bpe *b, struct slice text, size_t max, size_t *bytes) {
    size_t low = 0, high = text.len; /* low fits; high does not, or is not known */
    bool all;
    int whole = fits(b, text, text.len, max, &all);
    if (all || whole != 0) {
        *bytes = all ? text.len : 0;
        return whole;
    }
    while (low < high) {
        size_t mid = low + (high - low + 1) / 2;
        while (is_inside(text, mid)) mid++;
        bool fit;
        int rc = fits(b, text, mid, max, &fit);
        if (rc != 0) return rc;
        if (fit) {
            low = mid;
        } else {
            high = mid - 1;
            while (high > low && is_inside(text, high)) high--;
            if (high <= low) break;
        }
    }
    *bytes = low;
    return 0;
}

/* The end of the last of n tokens that is not inside a character, and how many tokens
 * that leaves. */
static size_t end_of(struct bpe *b, struct slice text, const uint32_t *ids, size_t *n) {
    size_t at = 0, good = 0, good_n = 0;
    for (size_t i = 0; i < *n; i++) {
        struct slice bytes;
        if (!vocab_token(b->v, ids[i], &bytes)) break;
        at += bytes.len;
        if (at > text.len) break;
        if (is_inside(text, at)) continue;
        good = at;
        good_n = i + 1;
    }
    *n = good_n;
    return good;
}

/* The tokens of a text, and where the prefix ends. */
struct prefix {
    const uint32_t *ids;
    size_t          count, n, bytes; /* n of the tokens are `bytes` bytes */
};

static bool is_space_before(struct slice text, size_t at) {
    uint32_t c = 0;
    size_t from = at - 1;
    while (from > 0 && is_inside(text, from)) from--;
    unicode_decode((const unsigned char *)text.ptr + from, (const unsigned char *)text.ptr + at, &c);
    unsigned class = unicode_class(c);
    return class == UC_SPACE || class == UC_NEWLINE;
}

/* A prefix that ends with white space may have fewer tokens than the text has there. */
static int further(struct bpe *b, struct slice text, size_t max, struct prefix *p) {
    size_t at = p->bytes;
    for (size_t i = p->n; i < p->count && i < p->n + AHEAD; i++) {
        struct slice bytes;
        bool fit = false;
        if (!vocab_token(b->v, p->ids[i], &bytes) || bytes.len > text.len - at) return 0;
        at += bytes.len;
        if (is_inside(text, at)) continue;
        if (!is_space_before(text, at)) return 0;
        int rc = fits(b, text, at, max, &fit);
        if (rc != 0) return rc;
        if (fit) p->bytes = at;
    }
    return 0;
}

static int longest(struct bpe *b, struct slice text, size_t max, struct prefix *p) {
    bool fit = false;
    int rc = 0;
    p->n = max;
    while (rc == 0 && !fit && p->n > 0) {
        p->bytes = end_of(b, text, p->ids, &p->n);
        rc = fits(b, text, p->bytes, max, &fit);
        if (!fit && p->n > 0) p->n--;
    }
    if (!fit) p->n = p->bytes = 0;
    return rc == 0 ? further(b, text, max, p) : rc;
}

int bpe_truncate(struct bpe *b, struct slice text, size_t max_tokens, size_t *bytes) {
    struct buf ids;
    *bytes = 0;
    size_t valid = utf8_valid_prefix(text);
    if (valid != text.len) {
        b->error_offset = valid;
        return PERILUNE_ERR_INVAL;
    }
    if (bpe_is_rewritten(b, text)) return by_halving(b, text, max_tokens, bytes);

    buf_init(&ids, 0);
    struct sink s = { .ids = &ids, .limit = max_tokens < SIZE_MAX - AHEAD ? max_tokens + AHEAD - 1 : SIZE_MAX };
    int rc = bpe_text(b, text, 0, &s);
    if (rc == SINK_FULL) rc = 0;
    if (rc == 0 && s.count <= max_tokens) {
        *bytes = text.len;
    } else if (rc == 0) {
        struct prefix p = { (const uint32_t *)(const void *)ids.data, s.count, 0, 0 };
        rc = longest(b, text, max_tokens, &p);
        if (rc == 0) *bytes = p.bytes;
    }
    buf_deinit(&ids);
    return rc;
}
