/* import_steps.c -- a piece of a text, as somebody's tokenizer would cut it there.
 *
 *     " co-op"  --steps-->  " co - op"  --one space, none at the end-->  "▁co▁-▁op"      marked
 *                                                                        "co" "-" "op"   dropped
 *                                                                        "Ġco-op"        in the alphabet of bytes
 *
 * A token of ours that begins with a space begins a word.  One that begins with none is mostly the rest of a word,
 * but may stand behind a parenthesis or a hyphen, where a tokenizer that isolates punctuation begins a word: it
 * is cut both ways, and the way with fewer pieces is taken; when both have as many, as the rest of a word if it
 * begins with a letter.  "able" goes on, "hello" begins.
 *
 * Thread: that of the tokenizer, which has scratch memory. */
#include "include/perilune.h"
#include "semantic/import_tokenizer.h"
#include "tokens/nfc.h"
#include "tokens/unicode.h"

/* -- Steps ------------------------------------------------------------------------------------------ */

static bool is_ideograph(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

enum side { PLAIN, RUN, ALONE };

static enum side side_of(enum import_step_kind kind, uint32_t c) {
    unsigned class = unicode_class(c);
    bool is_space = class == UC_SPACE || class == UC_NEWLINE;
    switch (kind) {
    case IMPORT_IDEOGRAPHS: return is_ideograph(c) ? ALONE : PLAIN;
    case IMPORT_PUNCTUATION: return class == UC_PUNCT || (class == UC_SYMBOL && c < 128) ? ALONE : PLAIN;
    case IMPORT_DIGITS: return class == UC_NUMBER ? ALONE : PLAIN;
    case IMPORT_RUNS: return is_space || unicode_is_word(c) ? PLAIN : RUN;
    default: return PLAIN;
    }
}

/* Spaces where one side of the text ends and another begins; before the first, too, unless it is plain. */
static void isolate(enum import_step_kind kind, struct slice text, struct buf *out) {
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    enum side before = PLAIN;
    while (p < end) {
        uint32_t c;
        unsigned len = unicode_decode(p, end, &c);
        if (len == 0) return; /* what was decoded from JSON and what is a normal text have no such bytes */
        enum side side = side_of(kind, c);
        if (side != before || side == ALONE) buf_putc(out, ' ');
        buf_put(out, p, len);
        before = side;
        p += len;
    }
}

static void replace(const struct import_step *s, struct slice text, struct buf *out) {
    for (size_t i = 0; i < text.len;) {
        if (slice_starts(slice_of(text.ptr + i, text.len - i), s->from)) {
            buf_slice(out, s->to);
            i += s->from.len;
        } else {
            buf_putc(out, text.ptr[i++]);
        }
    }
}

/* Spacing marks of Indic scripts go, too, which some tokenizers keep. */
static void drop_marks(struct slice text, struct buf *out) {
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    for (unsigned len; p < end; p += len) {
        uint32_t c;
        len = unicode_decode(p, end, &c);
        if (len == 0) return;
        if (unicode_class(c) != UC_MARK) buf_put(out, p, len);
    }
}

static int take_accents_off(struct slice text, struct buf *out) {
    struct buf parts;
    buf_init(&parts, 0);
    int rc = nfc_append_decomposed(text, &parts);
    if (rc == 0) drop_marks(buf_get(&parts), out);
    buf_deinit(&parts);
    return rc;
}

/* From t->a to t->a by way of t->b. */
static int take_step(struct import_tokenizer *t, const struct import_step *s) {
    struct slice text = buf_get(&t->a);
    int rc = 0;
    buf_clear(&t->b);
    if (s->kind == IMPORT_REPLACE) replace(s, text, &t->b);
    else if (s->kind == IMPORT_ACCENTS) rc = take_accents_off(text, &t->b);
    else isolate(s->kind, text, &t->b);
    struct buf swap = t->a;
    t->a = t->b;
    t->b = swap;
    return rc != 0 ? rc : t->a.error;
}

/* Runs of spaces become what stands for one; none at the end. */
static void settle_spaces(struct import_tokenizer *t, struct slice mark) {
    struct slice text = buf_get(&t->a);
    bool due = false;
    buf_clear(&t->b);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == ' ') {
            due = true;
            continue;
        }
        if (due) buf_slice(&t->b, mark);
        due = false;
        buf_putc(&t->b, text.ptr[i]);
    }
    if (due && buf_len(&t->b) == 0) buf_slice(&t->b, mark); /* a space alone */
}

/* -- Words ------------------------------------------------------------------------------------------- */

static bool begins_with_letter(struct slice word) {
    uint32_t c;
    const unsigned char *p = (const unsigned char *)word.ptr;
    if (word.len == 0 || unicode_decode(p, p + word.len, &c) == 0) return false;
    unsigned class = unicode_class(c);
    return class == UC_LOWER || class == UC_UPPER || class == UC_LETTER || class == UC_MARK;
}

/* Both ways; `begun` is the word as it would stand at its beginning.  Fewer pieces, fewer unknown before that. */
static int cut_open(const struct import_pieces *p, struct slice word, struct slice begun, struct buf *out,
                    unsigned *unknown) {
    unsigned unknown_inside = 0, unknown_begun = 0;
    struct buf other;
    buf_init(&other, 0);
    size_t before = buf_len(out);
    int rc = import_pieces_cut(p, word, true, out, &unknown_inside);
    if (rc == 0) rc = import_pieces_cut(p, begun, false, &other, &unknown_begun);
    size_t inside = buf_len(out) - before, beginning = buf_len(&other);
    bool begins = unknown_begun != unknown_inside ? unknown_begun < unknown_inside
                  : beginning != inside           ? beginning < inside
                                                  : !begins_with_letter(word);
    if (rc == 0 && begins) {
        out->len = out->mark + before;
        buf_slice(out, buf_get(&other));
    }
    *unknown += begins ? unknown_begun : unknown_inside;
    buf_deinit(&other);
    return rc == 0 && buf_failed(out) ? PERILUNE_ERR_NOMEM : rc;
}

/* t->b has words with a space between them, and in front when the first one begins there. */
static int cut_words(struct import_tokenizer *t, struct buf *out, unsigned *unknown) {
    struct slice rest = buf_get(&t->b);
    bool open = rest.len > 0 && rest.ptr[0] != ' ' && t->pieces.kind == IMPORT_WORDPIECE && t->pieces.prefix.len > 0;
    int rc = 0;
    while (rc == 0 && rest.len > 0) {
        const char *space = memchr(rest.ptr, ' ', rest.len);
        struct slice word = slice_of(rest.ptr, space != NULL ? (size_t)(space - rest.ptr) : rest.len);
        rest = space != NULL ? slice_of(space + 1, rest.len - word.len - 1) : slice_of(NULL, 0);
        rc = open ? cut_open(&t->pieces, word, word, out, unknown)
                  : import_pieces_cut(&t->pieces, word, false, out, unknown);
        open = false;
    }
    return rc;
}

static int cut_marked(struct import_tokenizer *t, struct buf *out, unsigned *unknown) {
    struct slice word = buf_get(&t->b);
    if (!t->isolates || t->mark.len == 0 || word.len == 0 || slice_starts(word, t->mark))
        return import_pieces_cut(&t->pieces, word, true, out, unknown);
    buf_clear(&t->a);
    buf_slice(&t->a, t->mark);
    buf_slice(&t->a, word);
    if (buf_failed(&t->a)) return t->a.error;
    return cut_open(&t->pieces, word, buf_get(&t->a), out, unknown);
}

/* Each byte as the character that stands for it: printable ones for themselves, the others from U+0100 on. */
static int cut_bytes(struct import_tokenizer *t, struct buf *out, unsigned *unknown) {
    struct slice text = buf_get(&t->b);
    buf_clear(&t->a);
    for (size_t i = 0; i < text.len; i++) {
        unsigned c = (unsigned char)text.ptr[i];
        bool printable = (c > 0x20 && c < 0x7F) || (c > 0xA0 && c != 0xAD);
        if (!printable) c = c <= 0x20 ? 0x100 + c : c <= 0xA0 ? 0x121 + c - 0x7F : 0x143;
        if (c < 0x80) buf_putc(&t->a, (char)c);
        else buf_printf(&t->a, "%c%c", (int)(0xC0 | c >> 6), (int)(0x80 | (c & 63)));
    }
    if (buf_failed(&t->a)) return t->a.error;
    return import_pieces_cut(&t->pieces, buf_get(&t->a), true, out, unknown);
}

int import_tokenizer_cut(struct import_tokenizer *t, struct slice text, struct buf *out, unsigned *unknown) {
    buf_clear(out);
    buf_clear(&t->a);
    buf_slice(&t->a, text);
    int rc = t->a.error;
    for (unsigned i = 0; rc == 0 && i < t->step_count; i++) rc = take_step(t, &t->steps[i]);
    if (rc != 0) return rc;
    settle_spaces(t, t->spaces == IMPORT_MARKED ? t->mark : SLICE(" "));
    if (buf_failed(&t->b)) return t->b.error;
    switch (t->spaces) {
    case IMPORT_MARKED: return cut_marked(t, out, unknown);
    case IMPORT_DROPPED: return cut_words(t, out, unknown);
    case IMPORT_ALPHABET: return cut_bytes(t, out, unknown);
    }
    return 0;
}
