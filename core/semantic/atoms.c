/* atoms.c -- what a question is made of: characters, words, numbers.
 *
 *     "请问iphone 6s怎么刷机?"   请 问 iphone 6 s 怎 么 刷 机        as it is written: each has a hash
 *                                .  .  iphone 6 s 怎么 . 刷 机       as it is meant:   a point is nothing
 *
 * Characters of scripts without spaces stand alone; letters and digits gather.  Punctuation and spaces are
 * no atoms.  A phrase (phrases.c) gives its meaning to its first character and nothing to the others.  English
 * words lose their endings, so that plurals and tenses meet.
 *
 * Hashes are the same everywhere and for ever: models keep what they know under them. */
#include "semantic/atoms.h"

#include "base/hash.h"
#include "semantic/phrases.h"
#include "tokens/unicode.h"

static uint32_t hash_of(struct slice s) {
    uint64_t h = hash_fnv(s);
    return atom_mix((uint32_t)h, (uint32_t)(h >> 32));
}

/* Ideographs, kana; what is written without spaces and without being a word on its own. */
static bool stands_alone(uint32_t c) {
    return c - 0x3040 < 0x31C0 - 0x3040 || c - 0x3400 < 0xA000 - 0x3400 || c - 0xAC00 < 0xD7B0 - 0xAC00 ||
           c - 0xF900 < 0xFB00 - 0xF900 || c - 0x20000 < 0x40000 - 0x20000 || c - 0x0E00 < 0x0F00 - 0x0E00;
}

static bool is_digit(uint32_t c) { return c - '0' < 10; }

static bool is_letter(uint32_t c) {
    if (c < 0x80) return (c | 32) - 'a' < 26;
    unsigned class = unicode_class(c);
    return (class >= UC_UPPER && class <= UC_MARK) || class == UC_NUMBER;
}

static bool ends_with(struct slice s, const char *end) { return slice_ends(s, slice_str(end)); }

/* The word without its ending: about right is enough, as long as it is always the same. */
static struct slice stem(struct slice s) {
    size_t len = s.len;
    if (len >= 5 && ends_with(s, "ies")) len -= 2; /* cities, city: both become citi, cit */
    else if (len >= 6 && ends_with(s, "ing")) len -= 3;
    else if (len >= 5 && ends_with(s, "ed")) len -= 2;
    else if (len >= 5 && ends_with(s, "es")) len -= 2;
    else if (len >= 4 && ends_with(s, "s") && !ends_with(s, "ss")) len -= 1;
    if (len >= 4 && (s.ptr[len - 1] == 'e' || s.ptr[len - 1] == 'y' || s.ptr[len - 1] == 'i')) len--;
    if (len >= 4 && s.ptr[len - 1] == s.ptr[len - 2] && s.len > len) len--; /* running */
    return slice_of(s.ptr, len);
}

static void mean_word(struct atom *a, struct slice s) {
    const struct phrase *p = phrase_of_word(s);
    a->phrase = p != NULL ? (uint8_t)p->kind : PHRASE_OTHER;
    if (p == NULL) a->means = hash_of(stem(s));
    else a->means = p->kind == PHRASE_FILLER ? 0 : hash_of(slice_str(p->means));
}

/* How many bytes from p on are of this kind. */
static size_t run(const char *p, const char *end, bool (*is)(uint32_t)) {
    const char *start = p;
    while (p < end) {
        uint32_t c;
        unsigned n = unicode_decode((const unsigned char *)p, (const unsigned char *)end, &c);
        if (n == 0 || !is(c) || stands_alone(c)) break;
        p += n;
    }
    return (size_t)(p - start);
}

/* The atoms of a phrase, which are its characters. */
static unsigned put_phrase(const struct phrase *f, const char *p, size_t at, struct atom *out, unsigned most) {
    size_t len = strlen(f->text);
    unsigned n = 0;
    for (size_t i = 0; i + 3 <= len && n < most; i += 3) {
        out[n++] = (struct atom){ .hash = hash_of(slice_of(p + i, 3)), .at = (uint16_t)(at + i), .len = 3,
                                  .kind = ATOM_HAN, .phrase = (uint8_t)(i == 0 ? f->kind : PHRASE_FILLER) };
    }
    if (f->kind != PHRASE_FILLER) out[0].means = hash_of(slice_str(f->means));
    return n;
}

unsigned atoms_read(struct slice normal, struct atom *out, unsigned most) {
    const char *p = normal.ptr, *end = p + (normal.len < UINT16_MAX ? normal.len : UINT16_MAX);
    unsigned count = 0;
    while (p < end && count < most) {
        uint32_t c;
        size_t n = unicode_decode((const unsigned char *)p, (const unsigned char *)end, &c);
        size_t at = (size_t)(p - normal.ptr);
        struct atom a = { .at = (uint16_t)at, .phrase = PHRASE_OTHER };
        if (n == 0) {
            p++;
            continue;
        }
        const struct phrase *f = n == 3 && stands_alone(c) ? phrase_at(p, end) : NULL;
        if (f != NULL) {
            count += put_phrase(f, p, at, out + count, most - count);
            p += strlen(f->text);
            continue;
        }
        if (stands_alone(c)) a.kind = ATOM_HAN;
        else if (is_digit(c)) a.kind = ATOM_NUMBER, n = run(p, end, is_digit);
        else if (is_letter(c)) a.kind = ATOM_WORD, n = run(p, end, is_letter);
        else a.len = UINT16_MAX; /* none */
        struct slice s = slice_of(p, n);
        p += n;
        if (a.len == UINT16_MAX) continue;
        a.len = (uint16_t)n;
        a.hash = a.means = hash_of(s);
        if (a.kind == ATOM_WORD) mean_word(&a, s);
        out[count++] = a;
    }
    return count;
}
