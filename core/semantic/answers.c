/* answers.c -- do two answers to a question say the same?
 *
 * A model that is asked twice says it in other words each time, with more or fewer details, so nothing here compares
 * word by word.  Two answers differ when one of these holds, looked at in this order:
 *
 *     yes, no      one begins with yes (correct, 是 ...) and the other with no (incorrect, 不 ...)
 *     numbers      each has numbers that the other lacks: 14 days there, 30 days here.  A number that only one has is
 *                  a detail.  Numbers are compared as values (1,000 is 1000, 3.0 is 3); those of lists do not count
 *     similarity   of the first SEMANTIC_MAX_TEXT bytes, by the embedder, is below ANSWERS_OTHER
 *
 * They say the same from ANSWERS_SAME on.  Between the two bounds nothing is said: a verdict that is wrong is worse
 * than none.  The bounds were chosen on pairs in tests/unit/test_answers.c, which has others that they were not.
 *
 * It knows nothing of what is true, and a name that was replaced in the same sentence passes: it finds answers to
 * another question, which is what it is for. */
#include "semantic/answers.h"

#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "semantic/embedding.h"
#include "semantic/normal.h"
#include "semantic/semantic.h"

#define MOST 128 /* different numbers of an answer */
#define WORD 16  /* bytes of the first word */

/* -- Yes and no --------------------------------------------------------------------------------- */

/* Of a normal text: 1: yes, -1: no, 0: neither. */
static int first_word(struct slice s) {
    static const struct { const char *word; int says; } words[] = {
        { "yes", 1 }, { "yeah", 1 }, { "yep", 1 }, { "correct", 1 }, { "true", 1 }, { "absolutely", 1 },
        { "no", -1 }, { "nope", -1 }, { "not", -1 }, { "incorrect", -1 }, { "false", -1 }, { "unfortunately", -1 },
    };
    static const struct { const char *begin; int says; } chinese[] = {
        { "是的", 1 }, { "可以", 1 }, { "对,", 1 }, { "能,", 1 }, { "会,", 1 }, { "有,", 1 }, { "支持", 1 },
        { "不", -1 }, { "没", -1 }, { "否", -1 }, { "无法", -1 },
    };
    while (s.len > 0 && strchr("*\"# ", s.ptr[0]) != NULL) s = slice_of(s.ptr + 1, s.len - 1);
    size_t len = 0;
    while (len < s.len && len < WORD && s.ptr[len] >= 'a' && s.ptr[len] <= 'z') len++;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (slice_eq(slice_of(s.ptr, len), slice_str(words[i].word))) return words[i].says;
    for (size_t i = 0; i < sizeof(chinese) / sizeof(*chinese); i++)
        if (slice_starts(s, slice_str(chinese[i].begin))) return chinese[i].says;
    return 0;
}

/* -- Numbers ------------------------------------------------------------------------------------- */

struct numbers {
    uint64_t keys[MOST];
    unsigned count;
    bool     full; /* it has more */
};

/* The digit at p, full-width ones, too, and its bytes; -1: none. */
static int digit_at(const char *p, const char *end, size_t *len) {
    *len = 1;
    if (p < end && *p >= '0' && *p <= '9') return *p - '0';
    *len = 3;
    if (end - p >= 3 && (unsigned char)p[0] == 0xEF && (unsigned char)p[1] == 0xBC && (unsigned char)p[2] >= 0x90 &&
        (unsigned char)p[2] <= 0x99)
        return (unsigned char)p[2] - 0x90;
    return -1;
}

static unsigned count_digits(const char *p, const char *end) {
    size_t len;
    unsigned n = 0;
    for (; digit_at(p, end, &len) >= 0; p += len) n++;
    return n;
}

static uint64_t mix(uint64_t key, int c) { return (key ^ (uint64_t)(c + 1)) * 0x100000001b3u; }

/* The number that begins at p, as a value; returns what is behind it. */
static const char *read_number(const char *p, const char *end, uint64_t *key) {
    size_t len;
    int d;
    uint64_t k = 0xcbf29ce484222325u;
    bool begun = false;
    for (;;) {
        for (; (d = digit_at(p, end, &len)) >= 0; p += len) {
            if (d != 0 || begun) k = mix(k, d); /* 007 is 7 */
            begun |= d != 0;
        }
        if (p < end && *p == ',' && count_digits(p + 1, end) == 3) p++; /* 1,000 */
        else break;
    }
    *key = k;
    if (p >= end || *p != '.' || digit_at(p + 1, end, &len) < 0) return p;
    k = mix(k, 10);
    for (p++; (d = digit_at(p, end, &len)) >= 0; p += len) {
        k = mix(k, d);
        if (d != 0) *key = k; /* 3.50 is 3.5, and 3.0 is 3 */
    }
    return p;
}

static void add_number(struct numbers *n, uint64_t key) {
    for (unsigned i = 0; i < n->count; i++)
        if (n->keys[i] == key) return;
    if (n->count < MOST) n->keys[n->count++] = key;
    else n->full = true;
}

static void read_numbers(struct slice text, struct numbers *n) {
    const char *p = text.ptr, *end = p + text.len;
    bool line = true; /* only white space and marks stood in this line so far */
    size_t len;
    n->count = 0;
    n->full = false;
    while (p < end) {
        if (digit_at(p, end, &len) < 0) {
            line = *p == '\n' || (line && strchr(" \t*#>-", *p) != NULL && *p != '\0');
            p++;
            continue;
        }
        uint64_t key;
        p = read_number(p, end, &key);
        bool item = line && end - p >= 2 && (*p == '.' || *p == ')') && (p[1] == ' ' || p[1] == '*' || p[1] == '\t');
        if (!item) add_number(n, key);
        line = false;
    }
}

static bool lacks_some(const struct numbers *a, const struct numbers *b) {
    for (unsigned i = 0; i < a->count; i++) {
        bool found = false;
        for (unsigned k = 0; k < b->count && !found; k++) found = a->keys[i] == b->keys[k];
        if (!found) return true;
    }
    return false;
}

/* -- Meaning -------------------------------------------------------------------------------------- */

static struct slice beginning(struct slice s) {
    return s.len > SEMANTIC_MAX_TEXT ? slice_of(s.ptr, utf8_valid_prefix(slice_of(s.ptr, SEMANTIC_MAX_TEXT))) : s;
}

/* -1: no memory. */
static float similarity_of(struct embedder *e, struct slice a, struct slice b) {
    struct embedded_text x, y;
    embedded_text_init(&x);
    embedded_text_init(&y);
    int rc = embedder_embed(e, 0, a, &x);
    if (rc == 0) rc = embedder_embed(e, 0, b, &y);
    float out = rc == 0 ? embedder_similarity(e, &x, &y) : -1;
    embedded_text_deinit(&x);
    embedded_text_deinit(&y);
    return out;
}

enum answers answers_compare(struct embedder *e, struct slice a, struct slice b, float *similarity) {
    struct buf x, y;
    struct numbers in_a, in_b;
    enum answers out = ANSWERS_UNKNOWN;
    *similarity = 0;
    buf_init(&x, 0);
    buf_init(&y, 0);
    normal_write(beginning(a), &x);
    normal_write(beginning(b), &y);
    read_numbers(a, &in_a);
    read_numbers(b, &in_b);
    bool ready = !buf_failed(&x) && !buf_failed(&y) && buf_len(&x) > 0 && buf_len(&y) > 0;
    if (ready && !in_a.full && !in_b.full) {
        bool replaced = lacks_some(&in_a, &in_b) && lacks_some(&in_b, &in_a);
        bool opposite = first_word(buf_get(&x)) * first_word(buf_get(&y)) < 0;
        float s = replaced || opposite ? 0 : similarity_of(e, buf_get(&x), buf_get(&y));
        *similarity = s > 0 ? s : 0;
        if (s >= 0) out = s < ANSWERS_OTHER ? ANSWERS_DIFFER : s < ANSWERS_SAME ? ANSWERS_UNKNOWN : ANSWERS_AGREE;
    }
    buf_deinit(&x);
    buf_deinit(&y);
    return out;
}
