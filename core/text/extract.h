/* extract.h -- the sentences of a text that matter, to a ratio. See extract.c. */
#ifndef PERILUNE_TEXT_EXTRACT_H
#define PERILUNE_TEXT_EXTRACT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

struct text_extract_options {
    float    ratio;      /* what should be left, 0 to 1; default 0.5 */
    float    floor;      /* and at least this, whatever ratio says; default 0.25 */
    size_t   min_size;   /* a text that is not larger is left alone, and none gets smaller; default 0 */
    unsigned keep_first; /* sentences; default 2 */
    unsigned keep_last;  /* default 2 */
    float    lambda;     /* of MMR: 1 for relevance alone; default 0.7 */
    float    depth;      /* of the position prior, 0 to 1; default 0.5 */
    size_t   min_leaf;   /* JSON: shorter strings are left alone, bytes; default 160 */
    bool     as_text;    /* JSON is text like other */
    /* Size of a piece, in tokens for example; NULL: its bytes.  Called once for each unit. */
    size_t (*size)(void *ud, struct slice piece);
    /* NULL, or asked now and then: false gives up. */
    bool   (*go_on)(void *ud);
    void    *ud;
};
/* The defaults. */
extern const struct text_extract_options text_extract_defaults;

/* Why a unit is there, or not.  ORDER text_reason_names. */
enum text_reason {
    TEXT_DROPPED,     /* no room */
    TEXT_REPEATED,    /* dropped: the same was said before */
    TEXT_KEPT_RANK,   /* it was among the best */
    TEXT_KEPT_EDGE,   /* first or last */
    TEXT_KEPT_FRAME,  /* heading, table head, tag, parent of what was kept */
    TEXT_KEPT_MATCH,  /* a number, an ID or a quotation of the question is in it */
    TEXT_KEPT_CODE,   /* code that the question is about, or there is no question */
    TEXT_KEPT_BEFORE, /* the next one begins with a pronoun or a connective */
    TEXT_KEPT_ALL,    /* the text was left alone */
    TEXT_REASONS
};
extern const char *const text_reason_names[TEXT_REASONS];

struct text_piece {
    uint32_t start, end; /* of the text; of JSON: of the strings' contents, one after the other */
    uint16_t kind;       /* enum text_unit_kind */
    uint16_t reason;     /* enum text_reason */
    float    score;
};

struct text_extract_result {
    size_t before, after; /* sizes */
    size_t units, kept;
    bool   is_json;
    bool   is_blind; /* the question says nothing about the text: no common term, or mostly another script */
};

/* Appends the text to out, shortened to about options.ratio: units (sentences.h) byte
 * for byte in their order.  Kept in any case, even beyond the ratio: headings, table heads,
 * lines that are a tag; the first and the last sentences; what contains a number, an ID
 * or a quotation of the question (unless a third of all units do); the items and the
 * sentence that a kept item hangs on; the unit in front of a kept one that begins with a
 * pronoun or a connective.  Code is kept whole; only code that has no term in common with
 * the question and is less than half of the text may go, and leaves the line
 * "[... 12 lines omitted ...]".
 *
 * Of a kept sentence's list that has a term in common with the question, in it or in the sentence,
 * what was dropped comes back as far as a fifth of the budget goes; of a list below a heading, when
 * the heading has.  Lists come first whose sentence or heading has.
 *
 * Without a question (empty) pieces are ranked by TextRank.  Then, and when the question has
 * no term in common with anything, all code is kept.
 *
 * A text that is one JSON object or array stays one, with the same members in the same
 * order and the same scalars: only strings of at least min_leaf bytes become shorter, all
 * ranked together, each with one unit at least.  Keys never change.
 *
 * pieces: NULL, or gets a struct text_piece for every unit.  options: NULL for the
 * defaults.  Linear in text and question, but for a logarithm; deterministic.  Returns 0;
 * PERILUNE_ERR_INVAL: ill-formed UTF-8 in the text (text_error_offset) or the question, or an
 * option out of range; PERILUNE_ERR_LIMITED (TEXT_MAX); PERILUNE_ERR_NOMEM; PERILUNE_ERR_CANCELED.  On failure out
 * and pieces are as long as they were. */
int text_extract(struct slice text, struct slice question, const struct text_extract_options *options,
                 struct buf *out, struct buf *pieces, struct text_extract_result *result);

#endif
