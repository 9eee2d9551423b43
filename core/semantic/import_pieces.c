/* import_pieces.c -- the vocabulary of a tokenizer.json.
 *
 *     WordPiece   vocab { piece: id }, pieces inside of a word with "##" in front
 *     BPE         vocab { piece: id }, merges [ "left right" | [left, right] ], perhaps <0x00> ... for bytes
 *     Unigram     vocab [ [piece, score] ... ], the place in the list is the id
 *
 * Two hash tables: of texts, and of pairs of pieces that merge.  Ids may have gaps; that each is below the number
 * of rows is for whoever has rows (import_table.c).  How words are cut stands in import_cut.c.
 *
 * tokens/vocab_import.c reads such documents, too, but only byte-level BPE, and refuses whatever would make a count
 * of tokens wrong.  Here a piece more or less in a rare word does no harm.
 *
 * Thread: any. */
#include "semantic/import_pieces.h"

#include <stdio.h>

#include "base/hash.h"
#include "include/perilune.h"
#include "semantic/import_json.h"

#define MAX_PIECES (1u << 21)
#define MAX_MERGES (1u << 22)
#define SHOWN(s)   (int)((s).len > 40 ? 40 : (s).len), (s).ptr

static const struct hash_key key = { 7, 8 };

static int refuse(struct failure *f, const char *what) {
    failure_set(f, FAILURE_INTERNAL, "%s", what);
    return PERILUNE_ERR_INVAL;
}

/* -- The two tables ------------------------------------------------------------------------------- */

static uint32_t *place_of(const struct import_pieces *p, struct slice text) {
    uint64_t mask = ((uint64_t)1 << p->place_bits) - 1;
    for (uint64_t at = hash64(&key, text);; at++) {
        uint32_t *place = &p->places[at & mask];
        if (*place == 0 || slice_eq(p->items[*place - 1].text, text)) return place;
    }
}

uint32_t import_pieces_find(const struct import_pieces *p, struct slice text) {
    if (text.len > p->longest) return IMPORT_NONE;
    uint32_t place = *place_of(p, text);
    return place == 0 ? IMPORT_NONE : place - 1;
}

static struct import_merge *merge_place(const struct import_pieces *p, uint32_t left, uint32_t right) {
    uint64_t pair = (uint64_t)left << 32 | right, mask = ((uint64_t)1 << p->merge_bits) - 1;
    for (uint64_t at = pair * UINT64_C(0x9E3779B97F4A7C15) >> (64 - p->merge_bits);; at++) {
        struct import_merge *m = &p->merges[at & mask];
        if (m->left == IMPORT_NONE || (m->left == left && m->right == right)) return m;
    }
}

const struct import_merge *import_pieces_merge(const struct import_pieces *p, uint32_t left, uint32_t right) {
    const struct import_merge *m = p->merges != NULL ? merge_place(p, left, right) : NULL;
    return m != NULL && m->left != IMPORT_NONE ? m : NULL;
}

static unsigned bits_for(uint32_t n) {
    unsigned bits = 4;
    while ((uint64_t)1 << bits < 2 * (uint64_t)n) bits++;
    return bits;
}

/* -- vocab ------------------------------------------------------------------------------------------ */

static int start_vocab(struct import_pieces *p, uint32_t count, struct failure *f) {
    if (count == 0) return refuse(f, "model.vocab: there are no pieces");
    if (count > MAX_PIECES) return refuse(f, "model.vocab: over 2097152 pieces");
    p->place_bits = bits_for(count);
    p->items = mem_alloc(count * sizeof(*p->items));
    p->places = mem_zalloc(sizeof(*p->places) << p->place_bits);
    return p->items != NULL && p->places != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

/* Of two pieces of one text the later counts, as it does for the library that writes such files. */
static int add_piece(struct import_pieces *p, const struct json_doc *doc, uint32_t string, uint32_t id, float score) {
    struct buf text;
    buf_init(&text, 0);
    json_decode_string(doc, string, &text);
    char *copy = buf_failed(&text) ? NULL : arena_dup(&p->arena, buf_get(&text));
    struct slice s = slice_of(copy, buf_len(&text));
    buf_deinit(&text);
    if (copy == NULL) return PERILUNE_ERR_NOMEM;
    if (id >= p->ids) p->ids = (uint64_t)id + 1;
    if (s.len > IMPORT_MAX_WORD) return 0; /* no word is as long */
    if (s.len > p->longest) p->longest = (unsigned)s.len;
    uint32_t *place = place_of(p, s);
    if (*place == 0) *place = ++p->count;
    p->items[*place - 1] = (struct import_piece){ s, id, score };
    return 0;
}

static int read_object(struct import_pieces *p, const struct json_doc *doc, uint32_t vocab, struct failure *f) {
    int rc = start_vocab(p, doc->nodes[vocab].count, f);
    for (uint32_t i = json_first(doc, vocab); rc == 0 && i != JSON_NONE;) {
        uint64_t id;
        uint32_t value = json_next(doc, vocab, i);
        if (!json_is(doc, value, JSON_NUMBER) || json_u64(doc, value, &id) != 0 || id >= IMPORT_NONE)
            return refuse(f, "model.vocab: an id is not a whole number");
        rc = add_piece(p, doc, i, (uint32_t)id, 0);
        i = json_next(doc, vocab, value);
    }
    return rc;
}

static int read_list(struct import_pieces *p, const struct json_doc *doc, uint32_t vocab, struct failure *f) {
    int rc = start_vocab(p, doc->nodes[vocab].count, f);
    uint32_t id = 0;
    float least = 0;
    for (uint32_t i = json_first(doc, vocab); rc == 0 && i != JSON_NONE; i = json_next(doc, vocab, i), id++) {
        if (!json_is(doc, i, JSON_ARRAY) || doc->nodes[i].count != 2 || !json_is(doc, i + 1, JSON_STRING) ||
            !json_is(doc, i + 2, JSON_NUMBER))
            return refuse(f, "model.vocab: an entry is not [piece, score]");
        double score = json_number(doc, i + 2);
        if (!(score > -1e6 && score < 1e6)) return refuse(f, "model.vocab: a score is not between -1e6 and 1e6");
        if ((float)score < least) least = (float)score;
        rc = add_piece(p, doc, i + 1, id, (float)score);
    }
    p->unknown_score = least - 10; /* as sentencepiece has it */
    return rc;
}

/* -- merges ------------------------------------------------------------------------------------------- */

/* The two sides as one text, left[len] bytes of it the left one's; false: not of that form. */
static bool read_pair(const struct json_doc *doc, uint32_t i, struct buf *text, size_t *left) {
    buf_clear(text);
    if (json_is(doc, i, JSON_STRING)) {
        json_decode_string(doc, i, text);
        struct slice s = buf_get(text);
        const char *space = buf_failed(text) || s.len == 0 ? NULL : memchr(s.ptr, ' ', s.len);
        if (space == NULL) return buf_failed(text);
        *left = (size_t)(space - s.ptr);
        memmove(text->data + text->mark + *left, space + 1, s.len - *left - 1);
        text->len--;
        return true;
    }
    if (!json_is(doc, i, JSON_ARRAY) || doc->nodes[i].count != 2 || !json_is(doc, i + 1, JSON_STRING) ||
        !json_is(doc, i + 2, JSON_STRING))
        return false;
    json_decode_string(doc, i + 1, text);
    *left = buf_len(text);
    json_decode_string(doc, i + 2, text);
    return true;
}

/* A merge of pieces that are not in the vocabulary is left out: a vocabulary may have been cut down. */
static void add_merge(struct import_pieces *p, struct slice text, size_t left, uint32_t rank) {
    uint32_t a = import_pieces_find(p, slice_of(text.ptr, left));
    uint32_t b = import_pieces_find(p, slice_of(text.ptr + left, text.len - left)), whole = import_pieces_find(p, text);
    if (a == IMPORT_NONE || b == IMPORT_NONE || whole == IMPORT_NONE) return;
    struct import_merge *m = merge_place(p, a, b);
    if (m->left == IMPORT_NONE) *m = (struct import_merge){ a, b, whole, rank };
}

static int read_merges(struct import_pieces *p, const struct json_doc *doc, uint32_t list, struct failure *f) {
    if (!json_is(doc, list, JSON_ARRAY)) return refuse(f, "model.merges: not a list");
    uint32_t count = doc->nodes[list].count, rank = 0;
    if (count > MAX_MERGES) return refuse(f, "model.merges: over 4194304 of them");
    p->merge_bits = bits_for(count);
    p->merges = mem_alloc(sizeof(*p->merges) << p->merge_bits);
    if (p->merges == NULL) return PERILUNE_ERR_NOMEM;
    memset(p->merges, 0xFF, sizeof(*p->merges) << p->merge_bits);
    struct buf text;
    size_t left = 0;
    int rc = 0;
    buf_init(&text, 0);
    for (uint32_t i = json_first(doc, list); rc == 0 && i != JSON_NONE; i = json_next(doc, list, i)) {
        if (!read_pair(doc, i, &text, &left)) rc = refuse(f, "model.merges: neither \"left right\" nor [left, right]");
        else if (buf_failed(&text)) rc = PERILUNE_ERR_NOMEM;
        else add_merge(p, buf_get(&text), left, rank++);
    }
    buf_deinit(&text);
    return rc;
}

/* -- The model ------------------------------------------------------------------------------------------ */

static bool is_true(const struct json_doc *doc, uint32_t object, const char *name) {
    return json_is(doc, json_get(doc, object, slice_str(name)), JSON_TRUE);
}

static int text_of(struct import_pieces *p, const struct json_doc *doc, uint32_t object, const char *name,
                   struct slice *out) {
    uint32_t i = json_get(doc, object, slice_str(name));
    struct buf text;
    if (!json_is(doc, i, JSON_STRING)) return 0;
    buf_init(&text, 0);
    json_decode_string(doc, i, &text);
    char *copy = buf_failed(&text) ? NULL : arena_dup(&p->arena, buf_get(&text));
    *out = slice_of(copy, copy != NULL ? buf_len(&text) : 0);
    buf_deinit(&text);
    return copy != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

/* What stands for the unknown, and what stands for bytes. */
static int read_unknown(struct import_pieces *p, const struct json_doc *doc, uint32_t model) {
    struct slice name = { NULL, 0 };
    uint64_t id;
    int rc = text_of(p, doc, model, "unk_token", &name);
    uint32_t at = rc == 0 && name.len > 0 ? import_pieces_find(p, name) : IMPORT_NONE;
    uint32_t number = json_get(doc, model, SLICE("unk_id"));
    p->unknown = at != IMPORT_NONE ? p->items[at].id : IMPORT_NONE;
    if (json_is(doc, number, JSON_NUMBER) && json_u64(doc, number, &id) == 0 && id < p->ids) p->unknown = (uint32_t)id;
    p->byte_fallback = is_true(doc, model, "byte_fallback");
    for (unsigned i = 0; i < 256; i++) {
        char piece[8];
        snprintf(piece, sizeof(piece), "<0x%02X>", i);
        at = p->byte_fallback ? import_pieces_find(p, slice_str(piece)) : IMPORT_NONE;
        p->bytes[i] = at;
    }
    return rc;
}

static int read_wordpiece(struct import_pieces *p, const struct json_doc *doc, uint32_t model) {
    uint64_t n;
    uint32_t limit = json_get(doc, model, SLICE("max_input_chars_per_word"));
    p->prefix = SLICE("##");
    p->max_chars = 100;
    if (json_is(doc, limit, JSON_NUMBER) && json_u64(doc, limit, &n) == 0)
        p->max_chars = n < IMPORT_MAX_WORD ? (unsigned)n : IMPORT_MAX_WORD;
    return text_of(p, doc, model, "continuing_subword_prefix", &p->prefix);
}

static int read_bpe(struct import_pieces *p, const struct json_doc *doc, uint32_t model, struct failure *f) {
    struct slice prefix = { NULL, 0 }, suffix = { NULL, 0 };
    int rc = text_of(p, doc, model, "continuing_subword_prefix", &prefix);
    if (rc == 0) rc = text_of(p, doc, model, "end_of_word_suffix", &suffix);
    if (rc != 0) return rc;
    if (prefix.len > 0 || suffix.len > 0)
        return refuse(f, "model: BPE with continuing_subword_prefix or end_of_word_suffix is not supported");
    p->whole = is_true(doc, model, "ignore_merges");
    return read_merges(p, doc, json_get(doc, model, SLICE("merges")), f);
}

static int kind_of(struct import_pieces *p, const struct json_doc *doc, uint32_t model, struct failure *f) {
    char type[24] = "";
    import_json_name(doc, model, SLICE("type"), type, sizeof(type));
    bool has_merges = json_get(doc, model, SLICE("merges")) != JSON_NONE;
    if (strcmp(type, "WordPiece") == 0) p->kind = IMPORT_WORDPIECE;
    else if (strcmp(type, "Unigram") == 0) p->kind = IMPORT_UNIGRAM;
    else if (strcmp(type, "BPE") == 0 || (type[0] == '\0' && has_merges)) p->kind = IMPORT_BPE;
    else {
        failure_set(f, FAILURE_INTERNAL, "model \"%s\" is not supported; WordPiece, BPE and Unigram are", type);
        return PERILUNE_ERR_INVAL;
    }
    return 0;
}

int import_pieces_open(struct import_pieces *p, const struct json_doc *doc, uint32_t model, struct failure *f) {
    *p = (struct import_pieces){ .unknown = IMPORT_NONE };
    arena_init(&p->arena);
    if (!json_is(doc, model, JSON_OBJECT)) return refuse(f, "there is no model in it; a tokenizer.json is wanted");
    int rc = kind_of(p, doc, model, f);
    if (rc != 0) return rc;
    uint32_t vocab = json_get(doc, model, SLICE("vocab"));
    if (!json_is(doc, vocab, p->kind == IMPORT_UNIGRAM ? JSON_ARRAY : JSON_OBJECT))
        return refuse(f, p->kind == IMPORT_UNIGRAM ? "model.vocab: not a list of [piece, score]"
                                                   : "model.vocab: not an object of pieces and ids");
    rc = p->kind == IMPORT_UNIGRAM ? read_list(p, doc, vocab, f) : read_object(p, doc, vocab, f);
    if (rc == 0) rc = read_unknown(p, doc, model);
    if (rc == 0 && p->kind == IMPORT_WORDPIECE) rc = read_wordpiece(p, doc, model);
    if (rc == 0 && p->kind == IMPORT_BPE) rc = read_bpe(p, doc, model, f);
    return rc;
}

void import_pieces_close(struct import_pieces *p) {
    arena_deinit(&p->arena);
    mem_free(p->items);
    mem_free(p->places);
    mem_free(p->merges);
    *p = (struct import_pieces){ .unknown = IMPORT_NONE };
}
