/* import_tokenizer.c -- a tokenizer.json of Hugging Face's, as far as static embedding models need it.
 *
 *     normalizer      --+
 *     pre_tokenizer   --+-->  steps, and what becomes of a space        import_steps.c takes them
 *     model           ----->  a vocabulary and how it cuts              import_pieces.c, import_cut.c
 *
 * Texts are in their normal form already (normal.c): lower case, NFKC, no space at an end.  So what a document
 * says of these needs no doing.  Whatever stands in front of a whole text (Prepend) is left out, since pieces
 * of texts are cut, which have their own space in front.  Expressions that keep kinds of characters apart
 * (Split, ByteLevel) are left out where the vocabulary was merged under them: it has no merge across.
 *
 * What is not known is refused by name.  post_processor and decoder are left aside.
 *
 * Thread: any. */
#include "semantic/import_tokenizer.h"

#include "include/perilune.h"
#include "semantic/import_json.h"

#define MAX_VALUES (1u << 23) /* of the document: 128 MiB of nodes */
#define MAX_DEPTH  8          /* of sequences in sequences */
#define MAX_PART   64         /* bytes of what is replaced, and by what */
#define METASPACE  SLICE("\xE2\x96\x81")

struct reader {
    struct import_tokenizer *t;
    struct json_doc          doc;
    struct failure          *f;
    unsigned                 depth;
};

static int refuse(struct reader *r, const char *what) {
    failure_set(r->f, FAILURE_INTERNAL, "%s", what);
    return PERILUNE_ERR_INVAL;
}

static int refuse_type(struct reader *r, const char *where, const char *type, const char *known) {
    failure_set(r->f, FAILURE_INTERNAL, "%s \"%s\" is not supported; %s", where, type, known);
    return PERILUNE_ERR_INVAL;
}

/* -- Reading -------------------------------------------------------------------------------------------- */

static uint32_t member(struct reader *r, uint32_t object, const char *name) {
    if (!json_is(&r->doc, object, JSON_OBJECT)) return JSON_NONE;
    uint32_t i = json_get(&r->doc, object, slice_str(name));
    return json_is(&r->doc, i, JSON_NULL) ? JSON_NONE : i;
}

static bool is_true(struct reader *r, uint32_t object, const char *name, bool otherwise) {
    uint32_t i = member(r, object, name);
    return i == JSON_NONE ? otherwise : json_is(&r->doc, i, JSON_TRUE);
}

/* A string of MAX_PART bytes at most; *out keeps what it was when there is none. */
static int read_part(struct reader *r, uint32_t i, struct slice *out) {
    struct buf text;
    if (!json_is(&r->doc, i, JSON_STRING)) return 0;
    buf_init(&text, 0);
    json_decode_string(&r->doc, i, &text);
    bool is_long = buf_len(&text) > MAX_PART;
    char *copy = buf_failed(&text) || is_long ? NULL : arena_dup(&r->t->arena, buf_get(&text));
    if (copy != NULL) *out = slice_of(copy, buf_len(&text));
    buf_deinit(&text);
    if (is_long) return refuse(r, "a normalizer or pre_tokenizer has a text of over 64 bytes");
    return copy != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

static int add_step(struct reader *r, enum import_step_kind kind, struct slice from, struct slice to) {
    struct import_tokenizer *t = r->t;
    if (t->step_count == IMPORT_MAX_STEPS) return refuse(r, "the normalizer has over 256 steps");
    t->steps[t->step_count++] = (struct import_step){ kind, from, to };
    return 0;
}

static int add_kind(struct reader *r, enum import_step_kind kind) {
    return add_step(r, kind, slice_of(NULL, 0), slice_of(NULL, 0));
}

typedef int read_fn(struct reader *r, uint32_t object);

static int read_sequence(struct reader *r, uint32_t object, const char *name, read_fn *each) {
    uint32_t list = member(r, object, name);
    int rc = 0;
    if (!json_is(&r->doc, list, JSON_ARRAY)) return refuse(r, "a Sequence of the tokenizer has no list");
    if (++r->depth > MAX_DEPTH) return refuse(r, "the tokenizer has Sequences in Sequences, over 8 deep");
    for (uint32_t i = json_first(&r->doc, list); rc == 0 && i != JSON_NONE; i = json_next(&r->doc, list, i))
        rc = each(r, i);
    r->depth--;
    return rc;
}

/* -- normalizer ------------------------------------------------------------------------------------------ */

/* A run of spaces becomes one, in any way to write that. */
static bool is_about_spaces(struct reader *r, uint32_t pattern) {
    static const char *const known[] = { "\\s+", " +", " {2,}", "\\s{2,}", "[ ]+", "[\\s]+" };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (json_str_eq(&r->doc, pattern, slice_str(known[i]))) return true;
    return false;
}

static int read_replace(struct reader *r, uint32_t object) {
    struct slice from = { NULL, 0 }, to = { "", 0 };
    uint32_t pattern = member(r, object, "pattern"), regex = member(r, pattern, "Regex");
    uint32_t text = member(r, pattern, "String");
    bool is_space = false;
    int rc = read_part(r, member(r, object, "content"), &to);
    if (rc == 0) rc = read_part(r, text, &from);
    if (rc != 0) return rc;
    if (json_is(&r->doc, regex, JSON_STRING) && is_about_spaces(r, regex))
        is_space = slice_eq(to, SLICE(" ")) || slice_eq(to, METASPACE);
    if (is_space) return 0;
    if (from.len == 0)
        return refuse(r, "normalizer Replace: only a pattern that is a String, or a Regex for runs of spaces, is "
                         "supported");
    if (slice_eq(from, SLICE(" "))) {
        r->t->mark = to;
        return 0;
    }
    r->t->isolates = r->t->isolates || memchr(to.ptr, ' ', to.len) != NULL;
    return add_step(r, IMPORT_REPLACE, from, to);
}

static int read_bert_normalizer(struct reader *r, uint32_t object) {
    bool lower = is_true(r, object, "lowercase", true);
    int rc = is_true(r, object, "handle_chinese_chars", true) ? add_kind(r, IMPORT_IDEOGRAPHS) : 0;
    if (rc == 0 && is_true(r, object, "strip_accents", lower)) rc = add_kind(r, IMPORT_ACCENTS);
    return rc;
}

static int read_normalizer(struct reader *r, uint32_t object) {
    static const char *const nothing[] = { "NFC", "NFKC", "Nmt", "Lowercase", "Strip", "Precompiled", "Prepend" };
    char type[32] = "";
    if (object == JSON_NONE) return 0;
    if (!json_is(&r->doc, object, JSON_OBJECT)) return refuse(r, "the normalizer is not an object");
    import_json_name(&r->doc, object, SLICE("type"), type, sizeof(type));
    for (size_t i = 0; i < sizeof(nothing) / sizeof(*nothing); i++)
        if (strcmp(type, nothing[i]) == 0) return 0;
    if (strcmp(type, "Sequence") == 0) return read_sequence(r, object, "normalizers", read_normalizer);
    if (strcmp(type, "Replace") == 0) return read_replace(r, object);
    if (strcmp(type, "BertNormalizer") == 0) return read_bert_normalizer(r, object);
    if (strcmp(type, "StripAccents") == 0) return add_kind(r, IMPORT_ACCENTS);
    if (strcmp(type, "NFD") == 0 || strcmp(type, "NFKD") == 0) {
        r->t->decomposes = true;
        return 0;
    }
    return refuse_type(r, "the normalizer", type, "BertNormalizer, Lowercase, NFC, NFKC, Replace and StripAccents are");
}

/* -- pre_tokenizer ---------------------------------------------------------------------------------------- */

/* Where spaces are marked and not each piece gets a mark, nothing merges across what is kept apart. */
static int read_metaspace(struct reader *r, uint32_t object) {
    struct import_tokenizer *t = r->t;
    char scheme[16] = "";
    import_json_name(&r->doc, object, SLICE("prepend_scheme"), scheme, sizeof(scheme));
    bool always = scheme[0] != '\0' ? strcmp(scheme, "always") == 0 : is_true(r, object, "add_prefix_space", true);
    unsigned kept = 0;
    for (unsigned i = 0; i < t->step_count; i++) {
        enum import_step_kind kind = t->steps[i].kind;
        bool splits = kind == IMPORT_PUNCTUATION || kind == IMPORT_RUNS || kind == IMPORT_DIGITS;
        if (splits && !always) continue;
        t->isolates = t->isolates || splits;
        t->steps[kept++] = t->steps[i];
    }
    t->step_count = kept;
    t->spaces = IMPORT_MARKED;
    t->mark = METASPACE;
    return read_part(r, member(r, object, "replacement"), &t->mark);
}

static int read_splitting(struct reader *r, const char *type) {
    struct import_tokenizer *t = r->t;
    bool is_marked = t->spaces == IMPORT_ALPHABET || (t->spaces == IMPORT_MARKED && !slice_eq(t->mark, SLICE(" ")));
    bool digits = strcmp(type, "Digits") == 0, punctuation = strcmp(type, "Punctuation") == 0;
    if (is_marked) return 0;
    if (!digits && !punctuation) t->spaces = IMPORT_DROPPED;
    if (strcmp(type, "WhitespaceSplit") == 0) return 0;
    return add_kind(r, digits ? IMPORT_DIGITS : strcmp(type, "Whitespace") == 0 ? IMPORT_RUNS : IMPORT_PUNCTUATION);
}

static int read_pre_tokenizer(struct reader *r, uint32_t object) {
    static const char *const splitting[] = { "BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation",
                                             "Digits" };
    struct import_tokenizer *t = r->t;
    char type[32] = "";
    if (object == JSON_NONE) return 0;
    if (!json_is(&r->doc, object, JSON_OBJECT)) return refuse(r, "the pre_tokenizer is not an object");
    import_json_name(&r->doc, object, SLICE("type"), type, sizeof(type));
    if (strcmp(type, "Sequence") == 0) return read_sequence(r, object, "pretokenizers", read_pre_tokenizer);
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(r, object);
    if (strcmp(type, "ByteLevel") == 0) {
        t->spaces = IMPORT_ALPHABET;
        return 0;
    }
    if (strcmp(type, "Split") == 0) {
        t->splits = true;
        return 0;
    }
    for (size_t i = 0; i < sizeof(splitting) / sizeof(*splitting); i++)
        if (strcmp(type, splitting[i]) == 0) return read_splitting(r, type);
    return refuse_type(r, "the pre_tokenizer", type,
                       "BertPreTokenizer, Whitespace, WhitespaceSplit, Metaspace, ByteLevel, Punctuation, Digits and "
                       "Split are");
}

/* What only the whole says. */
static int check_steps(struct reader *r) {
    struct import_tokenizer *t = r->t;
    bool strips = false, is_marked = t->spaces == IMPORT_ALPHABET || !slice_eq(t->mark, SLICE(" "));
    unsigned kept = 0;
    for (unsigned i = 0; i < t->step_count; i++) strips = strips || t->steps[i].kind == IMPORT_ACCENTS;
    if (t->decomposes && !strips) return refuse(r, "the normalizer NFD or NFKD is supported with StripAccents only");
    if (t->splits && !(t->spaces != IMPORT_DROPPED && is_marked))
        return refuse(r, "the pre_tokenizer Split is supported beside ByteLevel or a marked space only");
    for (unsigned i = 0; i < t->step_count; i++) {
        enum import_step_kind kind = t->steps[i].kind;
        bool splitting = kind == IMPORT_PUNCTUATION || kind == IMPORT_RUNS || kind == IMPORT_DIGITS;
        if (!splitting || t->spaces == IMPORT_DROPPED || t->isolates) t->steps[kept++] = t->steps[i];
    }
    t->step_count = kept;
    return 0;
}

/* -- The document --------------------------------------------------------------------------------------------- */

/* Added tokens are no pieces of texts, but have ids, too. */
static int read_added(struct reader *r, uint32_t list) {
    struct import_tokenizer *t = r->t;
    t->ids = t->pieces.ids;
    if (!json_is(&r->doc, list, JSON_ARRAY)) return 0;
    for (uint32_t i = json_first(&r->doc, list); i != JSON_NONE; i = json_next(&r->doc, list, i)) {
        uint64_t id;
        uint32_t number = member(r, i, "id");
        if (!json_is(&r->doc, number, JSON_NUMBER) || json_u64(&r->doc, number, &id) != 0)
            return refuse(r, "added_tokens: one has no id");
        if (id >= t->ids) t->ids = id + 1;
    }
    return 0;
}

static int read_all(struct reader *r, struct slice json) {
    struct json_error why;
    r->doc.max_nodes = MAX_VALUES;
    int rc = json_parse(&r->doc, json_without_bom(json), &why);
    if (rc == PERILUNE_ERR_INVAL) {
        failure_set(r->f, FAILURE_INTERNAL, "is no JSON: %s at byte %zu; a tokenizer.json is wanted", why.message,
                    why.offset + 1);
        return rc;
    }
    if (rc != 0) return rc;
    if (!json_is(&r->doc, 0, JSON_OBJECT)) return refuse(r, "is not an object; a tokenizer.json is wanted");
    rc = read_normalizer(r, member(r, 0, "normalizer"));
    if (rc == 0) rc = read_pre_tokenizer(r, member(r, 0, "pre_tokenizer"));
    if (rc == 0) rc = check_steps(r);
    if (rc == 0) rc = import_pieces_open(&r->t->pieces, &r->doc, member(r, 0, "model"), r->f);
    return rc == 0 ? read_added(r, member(r, 0, "added_tokens")) : rc;
}

int import_tokenizer_open(struct import_tokenizer *t, struct slice json, struct failure *f) {
    struct reader r = { .t = t, .f = f };
    memset(t, 0, sizeof(*t));
    arena_init(&t->arena);
    buf_init(&t->a, IMPORT_MAX_WORD);
    buf_init(&t->b, IMPORT_MAX_WORD);
    t->mark = SLICE(" ");
    int rc = read_all(&r, json);
    json_deinit(&r.doc);
    return rc;
}

void import_tokenizer_close(struct import_tokenizer *t) {
    import_pieces_close(&t->pieces);
    arena_deinit(&t->arena);
    buf_deinit(&t->a);
    buf_deinit(&t->b);
}
