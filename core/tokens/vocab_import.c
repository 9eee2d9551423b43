/* vocab_import.c -- from a Hugging Face tokenizer.json to the file form.
 *
 * The document says how text is normalized, how it is cut (mostly by regular
 * expressions), which bytes the tokens are, in which order they merge, and which tokens
 * stand outside of all that:
 *
 *     normalizer     none or NFC
 *     pre_tokenizer  [Split by an expression]... then ByteLevel
 *     model          BPE: vocab { token: id }, merges [ "left right" | [left, right] ]
 *     added_tokens   [ { id, content, special, lstrip, rstrip, single_word, normalized } ]
 *
 * Tokens are written in an alphabet of 256 printable characters, one per byte.
 *
 * An expression is never run: it is looked up by its exact text among those for which
 * pretokenize.c has a function.  Whatever is not known is refused by name, because a
 * tokenizer that is nearly right counts wrong without anybody noticing: a "yes" where
 * true should stand, too.  post_processor
 * and decoder are left aside: they add tokens around a text, or turn tokens back.
 *
 * Everything here may have been written by somebody who means harm: sizes have limits,
 * ids are checked before they are used, duplicates are errors.
 *
 * Thread: any.  Takes about ten times the memory of the text, given back at the end. */
#include "tokens/vocab_import.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/nfc.h"
#include "tokens/unicode.h"
#include "tokens/vocab_build.h"
#include "tokens/vocab_int.h"

#define MAX_VALUES (1u << 23) /* of the document: 128 MiB of nodes; GPT-OSS has 1.7 million */
#define MAX_ADDED  (1u << 16)

struct import {
    struct json_doc doc;
    struct arena    arena; /* the tokens' bytes */
    struct vocab_source src;
    struct slice   *tokens;
    uint32_t        n_tokens;
    uint32_t       *slot; /* bytes to id + 1 */
    uint32_t        slots;
    struct vocab_merge        *merges;
    struct vocab_source_added *added;
    int            *byte_of; /* by character of the alphabet; -1: none */
    struct buf      text;    /* scratch: a decoded string */
    const char     *unclear; /* a member that should be true or false and is neither; or NULL */
    char           *message;
    size_t          size;
};

static int refuse(struct import *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct import *m, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(m->message, m->size, fmt, ap);
    va_end(ap);
    return PERILUNE_ERR_INVAL;
}

/* -- Reading ------------------------------------------------------------------------------ */

/* A member that is there and not null, or JSON_NONE. */
static uint32_t member(struct import *m, uint32_t object, const char *key) {
    if (object == JSON_NONE || json_type(&m->doc, object) != JSON_OBJECT) return JSON_NONE;
    uint32_t i = json_get(&m->doc, object, slice_str(key));
    return i == JSON_NONE || json_type(&m->doc, i) == JSON_NULL ? JSON_NONE : i;
}

static bool is_true(struct import *m, uint32_t object, const char *key, bool otherwise) {
    uint32_t i = member(m, object, key);
    if (i == JSON_NONE) return otherwise;
    if (json_type(&m->doc, i) != JSON_TRUE && json_type(&m->doc, i) != JSON_FALSE) m->unclear = key;
    return json_type(&m->doc, i) == JSON_TRUE;
}

static bool is_string(struct import *m, uint32_t object, const char *key, const char *text) {
    uint32_t i = member(m, object, key);
    return i != JSON_NONE && json_type(&m->doc, i) == JSON_STRING && json_str_eq(&m->doc, i, slice_str(text));
}

static int decoded(struct import *m, uint32_t string, struct slice *out) {
    buf_clear(&m->text);
    json_decode_string(&m->doc, string, &m->text);
    *out = buf_get(&m->text);
    return buf_failed(&m->text) ? PERILUNE_ERR_NOMEM : 0;
}

/* The type of a component; "(none)" when it has none. */
static int type_of(struct import *m, uint32_t object, char to[40]) {
    struct slice text = SLICE("(none)");
    uint32_t i = member(m, object, "type");
    if (i != JSON_NONE && json_type(&m->doc, i) != JSON_STRING) return refuse(m, "a type that is not a string");
    int rc = i != JSON_NONE ? decoded(m, i, &text) : 0;
    slice_copy(to, 40, text);
    return rc;
}

/* -- The alphabet of bytes --------------------------------------------------------------------- */

/* Printable bytes stand for themselves, the others for the characters from U+0100 on. */
#define ALPHABET 0x144
static int make_alphabet(struct import *m) {
    int next = 0x100;
    m->byte_of = mem_alloc(ALPHABET * sizeof(int));
    if (m->byte_of == NULL) return PERILUNE_ERR_NOMEM;
    for (int i = 0; i < ALPHABET; i++) m->byte_of[i] = -1;
    for (int c = 0; c < 256; c++) {
        bool printable = (c > 0x20 && c < 0x7F) || (c > 0xA0 && c != 0xAD);
        m->byte_of[printable ? c : next++] = c;
    }
    return 0;
}

/* The bytes that a token's characters stand for, in place; false: not of the alphabet. */
static bool to_bytes(struct import *m, char *text, size_t len, size_t *out) {
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    char *to = text;
    while (p < end) {
        uint32_t c;
        unsigned n = unicode_decode(p, end, &c);
        if (n == 0 || c >= ALPHABET || m->byte_of[c] < 0) return false;
        *to++ = (char)m->byte_of[c];
        p += n;
    }
    *out = (size_t)(to - text);
    return true;
}

/* -- normalizer ------------------------------------------------------------------------------------ */

static int read_normalizer(struct import *m, uint32_t i) {
    char type[40];
    if (i == JSON_NONE) return 0;
    int rc = type_of(m, i, type);
    if (rc != 0) return rc;
    if (strcmp(type, "NFC") == 0) {
        m->src.flags |= VOCAB_NFC;
        return 0;
    }
    uint32_t list = member(m, i, "normalizers");
    if (strcmp(type, "Sequence") != 0 || list == JSON_NONE || json_type(&m->doc, list) != JSON_ARRAY)
        return refuse(m, "normalizer %s is not supported (NFC and none are)", type);
    for (uint32_t k = json_first(&m->doc, list); k != JSON_NONE; k = json_next(&m->doc, list, k)) {
        rc = type_of(m, k, type);
        if (rc != 0) return rc;
        if (strcmp(type, "NFC") != 0) return refuse(m, "normalizer %s is not supported (NFC and none are)", type);
        m->src.flags |= VOCAB_NFC;
    }
    return 0;
}

/* -- pre_tokenizer ----------------------------------------------------------------------------------- */

#define O200K_WORD "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
    enum pretokenize_kind kind;
    const char     *patterns[3];
} known[] = {
    { PRETOKENIZE_O200K,
      { O200K_WORD "*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" CONTRACTION "?|" O200K_WORD
                   "+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" CONTRACTION
                   "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES,
        NULL, NULL } },
    { PRETOKENIZE_LLAMA3,
      { CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES, NULL, NULL } },
    { PRETOKENIZE_QWEN,
      { CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES, NULL, NULL } },
    { PRETOKENIZE_GPT2,
      { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", NULL, NULL } },
    { PRETOKENIZE_DEEPSEEK,
      { "\\p{N}{1,3}", "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
        " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+" } },
};

struct steps { /* what the pre-tokenizer does, in order */
    struct buf patterns[3];
    unsigned   n;
    bool       byte_level, use_regex, digits;
};

static int read_split(struct import *m, uint32_t i, struct steps *s) {
    uint32_t pattern = member(m, i, "pattern"), regex = member(m, pattern, "Regex");
    if (regex == JSON_NONE || json_type(&m->doc, regex) != JSON_STRING)
        return refuse(m, "pre_tokenizer Split: its pattern is not a Regex");
    bool isolated = is_string(m, i, "behavior", "Isolated") && !is_true(m, i, "invert", false);
    bool removed = is_string(m, i, "behavior", "Removed") && is_true(m, i, "invert", false) && s->n == 0;
    if (!isolated && !removed)
        return refuse(m, "pre_tokenizer Split: only behavior Isolated without invert is supported");
    if (s->n == 3) return refuse(m, "pre_tokenizer Sequence: more than three Splits are not supported");
    json_decode_string(&m->doc, regex, &s->patterns[s->n]);
    return buf_failed(&s->patterns[s->n++]) ? PERILUNE_ERR_NOMEM : 0;
}

static int read_step(struct import *m, uint32_t i, struct steps *s) {
    char type[40];
    int rc = type_of(m, i, type);
    if (rc != 0) return rc;
    if (s->byte_level) return refuse(m, "pre_tokenizer %s after ByteLevel is not supported", type);
    if (strcmp(type, "Split") == 0) return read_split(m, i, s);
    if (strcmp(type, "Digits") == 0) {
        s->digits = true;
        if (is_true(m, i, "individual_digits", false)) return 0;
        return refuse(m, "pre_tokenizer Digits without individual_digits is not supported");
    }
    if (strcmp(type, "ByteLevel") != 0)
        return refuse(m, "pre_tokenizer %s is not supported (Sequence, Split, Digits and ByteLevel are)", type);
    if (is_true(m, i, "add_prefix_space", true))
        return refuse(m, "pre_tokenizer ByteLevel with add_prefix_space is not supported");
    s->byte_level = true;
    s->use_regex = is_true(m, i, "use_regex", true);
    return 0;
}

static int choose_split(struct import *m, struct steps *s) {
    if (!s->byte_level)
        return refuse(m, "pre_tokenizer: there is no ByteLevel; only byte-level vocabularies are supported");
    if (s->use_regex && s->n > 0)
        return refuse(m, "pre_tokenizer ByteLevel with use_regex after Split is not supported");
    if (s->digits && !s->use_regex)
        return refuse(m, "pre_tokenizer Digits is supported before a ByteLevel with use_regex only");
    m->src.split = s->digits ? PRETOKENIZE_DIGITS : s->use_regex ? PRETOKENIZE_GPT2 : PRETOKENIZE_NONE;
    if (s->n == 0) return 0;
    for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++) {
        bool same = true;
        for (unsigned i = 0; i < 3; i++)
            same = same && slice_eq(slice_str(known[k].patterns[i]), i < s->n ? buf_get(&s->patterns[i]) : SLICE(""));
        if (!same) continue;
        m->src.split = known[k].kind;
        return 0;
    }
    struct slice last = buf_get(&s->patterns[s->n - 1]);
    return refuse(m, "pre_tokenizer Split: the expression %.*s%s is not one that this version knows",
                  last.len > 120 ? 120 : (int)last.len, last.ptr, last.len > 120 ? "..." : "");
}

static int read_pre_tokenizer(struct import *m, uint32_t i) {
    struct steps s = { .n = 0 };
    if (i == JSON_NONE) return refuse(m, "pre_tokenizer: there is none; only byte-level vocabularies are supported");
    for (unsigned k = 0; k < 3; k++) buf_init(&s.patterns[k], 0);
    int rc = 0;
    if (!is_string(m, i, "type", "Sequence")) {
        rc = read_step(m, i, &s);
    } else {
        uint32_t list = member(m, i, "pretokenizers");
        if (list == JSON_NONE || json_type(&m->doc, list) != JSON_ARRAY)
            rc = refuse(m, "pre_tokenizer Sequence: pretokenizers is not a list");
        else
            for (uint32_t k = json_first(&m->doc, list); rc == 0 && k != JSON_NONE; k = json_next(&m->doc, list, k))
                rc = read_step(m, k, &s);
    }
    if (rc == 0) rc = choose_split(m, &s);
    for (unsigned k = 0; k < 3; k++) buf_deinit(&s.patterns[k]);
    return rc;
}

/* -- added_tokens ------------------------------------------------------------------------------------------ */

static int read_added_token(struct import *m, uint32_t i, size_t at) {
    struct vocab_source_added *a = &m->added[at];
    uint32_t content = member(m, i, "content"), id = member(m, i, "id");
    uint64_t number;
    struct slice text;
    if (content == JSON_NONE || json_type(&m->doc, content) != JSON_STRING || id == JSON_NONE ||
        json_type(&m->doc, id) != JSON_NUMBER || json_u64(&m->doc, id, &number) != 0)
        return refuse(m, "added_tokens[%zu]: it needs an id and a content", at);
    if (number >= VOCAB_MAX_IDS)
        return refuse(m, "added_tokens[%zu]: id %llu; ids up to %u are supported", at, (unsigned long long)number,
                      VOCAB_MAX_IDS - 1);
    int rc = decoded(m, content, &text);
    if (rc != 0) return rc;
    if (text.len == 0 || text.len > 1024)
        return refuse(m, "added_tokens[%zu]: a content of %zu bytes; 1 to 1024 are supported", at, text.len);
    a->id = (uint32_t)number;
    a->flags = 0;
    if (is_true(m, i, "special", false)) a->flags |= TOKEN_SPECIAL;
    if (is_true(m, i, "lstrip", false)) a->flags |= TOKEN_LSTRIP;
    if (is_true(m, i, "rstrip", false)) a->flags |= TOKEN_RSTRIP;
    if (is_true(m, i, "single_word", false)) a->flags |= TOKEN_WORD;
    if (is_true(m, i, "normalized", !(a->flags & TOKEN_SPECIAL))) a->flags |= TOKEN_NORMALIZED;
    if ((a->flags & TOKEN_NORMALIZED) && (m->src.flags & VOCAB_NFC) && !nfc_is_plain(text))
        return refuse(m, "added_tokens[%zu]: a normalized token that is not in form C is not supported", at);
    char *copy = arena_dup(&m->arena, text);
    if (copy == NULL) return PERILUNE_ERR_NOMEM;
    a->text = slice_of(copy, text.len);
    return 0;
}

static void sort_added(struct vocab_source_added *a, size_t n) {
    for (size_t gap = n / 2; gap > 0; gap /= 2) /* they mostly are in order */
        for (size_t i = gap; i < n; i++) {
            struct vocab_source_added x = a[i];
            size_t k = i;
            for (; k >= gap && a[k - gap].id > x.id; k -= gap) a[k] = a[k - gap];
            a[k] = x;
        }
}

/* Hugging Face finds all tokens first and takes white space along afterwards: one that begins
 * with white space that another took is still counted, and the text behind it twice. */
static int check_strips(struct import *m, size_t n) {
    const struct vocab_source_added *strips = NULL;
    for (size_t i = 0; i < n; i++)
        if (m->added[i].flags & TOKEN_RSTRIP) strips = &m->added[i];
    for (size_t i = 0; i < n && strips != NULL; i++) {
        struct slice text = m->added[i].text;
        uint32_t c = 0;
        unicode_decode((const unsigned char *)text.ptr, (const unsigned char *)text.ptr + text.len, &c);
        unsigned class = unicode_class(c);
        if (class == UC_SPACE || class == UC_NEWLINE)
            return refuse(m, "added_tokens: token %u begins with white space, which token %u takes along (rstrip); "
                             "both together are not supported", m->added[i].id, strips->id);
    }
    return 0;
}

static int read_added(struct import *m, uint32_t list) {
    if (list == JSON_NONE) return 0;
    if (json_type(&m->doc, list) != JSON_ARRAY) return refuse(m, "added_tokens: not a list");
    size_t n = m->doc.nodes[list].count, at = 0;
    if (n > MAX_ADDED) return refuse(m, "added_tokens: %zu of them; the limit is %u", n, MAX_ADDED);
    m->added = mem_zalloc((n + 1) * sizeof(*m->added));
    if (m->added == NULL) return PERILUNE_ERR_NOMEM;
    for (uint32_t i = json_first(&m->doc, list); i != JSON_NONE; i = json_next(&m->doc, list, i), at++) {
        int rc = read_added_token(m, i, at);
        if (rc != 0) return rc;
    }
    sort_added(m->added, n);
    for (size_t i = 1; i < n; i++)
        if (m->added[i].id == m->added[i - 1].id)
            return refuse(m, "added_tokens: id %u is there twice", m->added[i].id);
    m->src.added = m->added;
    m->src.n_added = n;
    return check_strips(m, n);
}

/* -- model.vocab --------------------------------------------------------------------------------------------- */

static uint32_t find_token(const struct import *m, const char *p, size_t n) {
    uint32_t i = (uint32_t)(((vocab_hash((const unsigned char *)p, n) >> 32) * m->slots) >> 32);
    for (; m->slot[i] != 0; i = i + 1 == m->slots ? 0 : i + 1) {
        struct slice t = m->tokens[m->slot[i] - 1];
        if (t.len == n && memcmp(t.ptr, p, n) == 0) return m->slot[i] - 1;
    }
    return VOCAB_NONE;
}

static void add_token(struct import *m, uint32_t id) {
    struct slice t = m->tokens[id];
    uint32_t i = (uint32_t)(((vocab_hash((const unsigned char *)t.ptr, t.len) >> 32) * m->slots) >> 32);
    while (m->slot[i] != 0) i = i + 1 == m->slots ? 0 : i + 1;
    m->slot[i] = id + 1;
}

static bool is_added(const struct import *m, uint64_t id, struct slice text) {
    size_t low = 0, high = m->src.n_added;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (m->added[mid].id < id) low = mid + 1;
        else high = mid;
    }
    return low < m->src.n_added && m->added[low].id == id && slice_eq(m->added[low].text, text);
}

static int read_token(struct import *m, uint32_t key, uint32_t value, unsigned char *given) {
    uint64_t id;
    struct slice text;
    int rc = decoded(m, key, &text);
    if (rc != 0) return rc;
    int shown = text.len > 40 ? 40 : (int)text.len;
    if (json_type(&m->doc, value) != JSON_NUMBER || json_u64(&m->doc, value, &id) != 0)
        return refuse(m, "model.vocab: the id of \"%.*s\" is not a number", shown, text.ptr);
    if (id >= m->n_tokens)
        return refuse(m, "model.vocab: \"%.*s\" has the id %llu; ids end at %u", shown, text.ptr,
                      (unsigned long long)id, m->n_tokens - 1);
    if (given[id]) return refuse(m, "model.vocab: the id %llu is there twice", (unsigned long long)id);
    given[id] = 1;
    if (is_added(m, id, text)) return 0; /* never made by merging */
    if (text.len == 0) return refuse(m, "model.vocab: the token %llu is empty", (unsigned long long)id);
    char *copy = arena_dup(&m->arena, text);
    if (copy == NULL) return PERILUNE_ERR_NOMEM;
    size_t len;
    if (!to_bytes(m, copy, text.len, &len))
        return refuse(m, "model.vocab: \"%.*s\" is not written in the byte-level alphabet", shown, text.ptr);
    if (find_token(m, copy, len) != VOCAB_NONE)
        return refuse(m, "model.vocab: \"%.*s\" is there twice", shown, text.ptr);
    m->tokens[id] = slice_of(copy, len);
    add_token(m, (uint32_t)id);
    return 0;
}

/* An added token that is in the vocabulary, too, has one id, and an id has one token. */
static int check_added(struct import *m) {
    for (size_t i = 0; i < m->src.n_added; i++) {
        struct slice text = m->added[i].text;
        int shown = text.len > 40 ? 40 : (int)text.len;
        uint32_t special_tokens_id = m->added[i].id;
        size_t len;
        buf_clear(&m->text);
        buf_slice(&m->text, text);
        if (buf_failed(&m->text)) return PERILUNE_ERR_NOMEM;
        if (special_tokens_id < m->n_tokens && m->tokens[special_tokens_id].len > 0)
            return refuse(m, "added_tokens: \"%.*s\" has the id %u, which is another token's in model.vocab", shown,
                          text.ptr, special_tokens_id);
        if (!to_bytes(m, m->text.data, text.len, &len)) continue;
        uint32_t id = find_token(m, m->text.data, len);
        if (id != VOCAB_NONE && id != special_tokens_id)
            return refuse(m, "added_tokens: \"%.*s\" has the id %u there and %u in model.vocab", shown, text.ptr,
                          special_tokens_id, id);
    }
    return 0;
}

/* One more than the largest id that a token can have: there are no large gaps. */
static uint32_t id_limit(size_t n) {
    size_t limit = 2 * n + 4096;
    return limit > VOCAB_MAX_IDS ? VOCAB_MAX_IDS : (uint32_t)limit;
}

static int read_vocab(struct import *m, uint32_t object) {
    if (object == JSON_NONE || json_type(&m->doc, object) != JSON_OBJECT)
        return refuse(m, "model.vocab: not an object of tokens and ids");
    size_t n = m->doc.nodes[object].count;
    if (n > VOCAB_MAX_IDS) return refuse(m, "model.vocab: %zu tokens; the limit is %u", n, VOCAB_MAX_IDS);
    m->n_tokens = id_limit(n);
    m->slots = (uint32_t)(2 * n + 16);
    m->tokens = mem_zalloc(m->n_tokens * sizeof(*m->tokens));
    m->slot = mem_zalloc((size_t)m->slots * sizeof(*m->slot));
    unsigned char *given = mem_zalloc(m->n_tokens);
    int rc = m->tokens == NULL || m->slot == NULL || given == NULL ? PERILUNE_ERR_NOMEM : 0;
    for (uint32_t i = json_first(&m->doc, object); rc == 0 && i != JSON_NONE;) {
        uint32_t value = json_next(&m->doc, object, i);
        rc = read_token(m, i, value, given);
        i = json_next(&m->doc, object, value);
    }
    mem_free(given);
    if (rc == 0) rc = check_added(m);
    if (rc != 0) return rc;
    while (m->n_tokens > 0 && m->tokens[m->n_tokens - 1].len == 0) m->n_tokens--;
    if (m->n_tokens == 0) return refuse(m, "model.vocab: there are no tokens");
    m->src.tokens = m->tokens;
    m->src.n_ids = m->n_tokens;
    return 0;
}

/* -- model.merges ----------------------------------------------------------------------------------------------- */

/* Both sides as bytes, one after the other in m->text. */
static int read_pair(struct import *m, uint32_t i, size_t at, struct slice *left, struct slice *right) {
    struct slice text;
    size_t middle, a, b;
    int rc;
    buf_clear(&m->text);
    if (json_type(&m->doc, i) == JSON_STRING) {
        rc = decoded(m, i, &text);
        if (rc != 0) return rc;
        const char *space = text.len > 0 ? memchr(text.ptr, ' ', text.len) : NULL;
        if (space == NULL) return refuse(m, "model.merges[%zu]: not two tokens with a space between them", at);
        middle = (size_t)(space - text.ptr);
        memmove(m->text.data + middle, space + 1, text.len - middle - 1);
        m->text.len--;
    } else if (json_type(&m->doc, i) == JSON_ARRAY && m->doc.nodes[i].count == 2 &&
               json_type(&m->doc, i + 1) == JSON_STRING && json_type(&m->doc, i + 2) == JSON_STRING) {
        json_decode_string(&m->doc, i + 1, &m->text);
        middle = m->text.len;
        json_decode_string(&m->doc, i + 2, &m->text);
        if (buf_failed(&m->text)) return PERILUNE_ERR_NOMEM;
    } else {
        return refuse(m, "model.merges[%zu]: neither \"left right\" nor [left, right]", at);
    }
    char *p = m->text.data;
    if (p == NULL || !to_bytes(m, p, middle, &a) || !to_bytes(m, p + middle, m->text.len - middle, &b))
        return refuse(m, "model.merges[%zu]: not written in the byte-level alphabet", at);
    memmove(p + a, p + middle, b);
    *left = slice_of(p, a);
    *right = slice_of(p + a, b);
    return 0;
}

static int read_merge(struct import *m, uint32_t i, size_t at) {
    struct slice left = { NULL, 0 }, right = { NULL, 0 };
    int rc = read_pair(m, i, at, &left, &right);
    if (rc != 0) return rc;
    struct vocab_merge *g = &m->merges[at];
    *g = (struct vocab_merge){ find_token(m, left.ptr, left.len), find_token(m, right.ptr, right.len),
                               find_token(m, left.ptr, left.len + right.len) };
    if (left.len == 0 || right.len == 0 || g->left == VOCAB_NONE || g->right == VOCAB_NONE)
        return refuse(m, "model.merges[%zu]: one of its sides is not in the vocabulary", at);
    if (g->id == VOCAB_NONE) return refuse(m, "model.merges[%zu]: what it makes is not in the vocabulary", at);
    return 0;
}

static int read_merges(struct import *m, uint32_t list) {
    size_t at = 0;
    if (list == JSON_NONE || json_type(&m->doc, list) != JSON_ARRAY) return refuse(m, "model.merges: not a list");
    size_t n = m->doc.nodes[list].count;
    m->merges = mem_alloc((n + 1) * sizeof(*m->merges));
    if (m->merges == NULL) return PERILUNE_ERR_NOMEM;
    for (uint32_t i = json_first(&m->doc, list); i != JSON_NONE; i = json_next(&m->doc, list, i), at++) {
        int rc = read_merge(m, i, at);
        if (rc != 0) return rc;
    }
    m->src.merges = m->merges;
    m->src.n_merges = n;
    return 0;
}

/* -- The document -------------------------------------------------------------------------------------------------- */

static bool has_text(struct import *m, uint32_t object, const char *key) {
    uint32_t i = member(m, object, key);
    return i != JSON_NONE && !(json_type(&m->doc, i) == JSON_STRING && json_str_eq(&m->doc, i, SLICE("")));
}

static int check_model(struct import *m, uint32_t model) {
    char type[40];
    if (model == JSON_NONE) return refuse(m, "model: there is none; is this a tokenizer.json?");
    int rc = type_of(m, model, type);
    if (rc != 0) return rc;
    if (strcmp(type, "BPE") != 0 && (strcmp(type, "(none)") != 0 || member(m, model, "merges") == JSON_NONE))
        return refuse(m, "model %s is not supported (byte-level BPE is)", type);
    if (is_true(m, model, "byte_fallback", false)) return refuse(m, "model.byte_fallback is not supported");
    if (has_text(m, model, "continuing_subword_prefix"))
        return refuse(m, "model.continuing_subword_prefix is not supported");
    if (has_text(m, model, "end_of_word_suffix")) return refuse(m, "model.end_of_word_suffix is not supported");
    if (has_text(m, model, "dropout")) return refuse(m, "model.dropout is not supported: its tokens are random");
    if (is_true(m, model, "ignore_merges", false)) m->src.flags |= VOCAB_WHOLE;
    return 0;
}

static int read_all(struct import *m, struct slice json) {
    struct json_error err;
    m->doc.max_nodes = MAX_VALUES;
    int rc = json_parse(&m->doc, json, &err);
    if (rc == PERILUNE_ERR_INVAL) return refuse(m, "not usable as JSON: %s at byte %zu", err.message, err.offset);
    if (rc != 0) return rc;
    uint32_t root = 0, model = member(m, root, "model");
    if (json_type(&m->doc, root) != JSON_OBJECT) return refuse(m, "not an object; is this a tokenizer.json?");
    rc = make_alphabet(m);
    if (rc == 0) rc = check_model(m, model);
    if (rc == 0) rc = read_normalizer(m, member(m, root, "normalizer"));
    if (rc == 0) rc = read_pre_tokenizer(m, member(m, root, "pre_tokenizer"));
    if (rc == 0) rc = read_added(m, member(m, root, "added_tokens"));
    if (rc == 0) rc = read_vocab(m, member(m, model, "vocab"));
    if (rc == 0) rc = read_merges(m, member(m, model, "merges"));
    if (rc == 0 && m->unclear != NULL) return refuse(m, "a member \"%s\" is neither true nor false", m->unclear);
    return rc;
}

int vocab_import(struct slice json, const char *name, struct buf *out, char *message, size_t size) {
    struct import m = { .message = message, .size = size };
    arena_init(&m.arena);
    buf_init(&m.text, 0);
    m.src.name = name;
    int rc = read_all(&m, json);
    json_deinit(&m.doc);
    if (rc == 0) rc = vocab_build(&m.src, out, message, size);
    if (rc == PERILUNE_ERR_NOMEM) snprintf(message, size, "out of memory");
    if (rc != 0) slice_mute(message); /* it may quote the document */
    buf_deinit(&m.text);
    arena_deinit(&m.arena);
    mem_free(m.tokens);
    mem_free(m.slot);
    mem_free(m.merges);
    mem_free(m.added);
    mem_free(m.byte_of);
    return rc;
}
