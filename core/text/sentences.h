/* sentences.h -- a text as a list of units that stay whole. See sentences.c. */
#ifndef PERILUNE_TEXT_SENTENCES_H
#define PERILUNE_TEXT_SENTENCES_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* ORDER text_unit_names. */
enum text_unit_kind {
    TEXT_UNIT_SENTENCE,
    TEXT_UNIT_HEADING,    /* # x, underlined, 一、x, 第三章 x */
    TEXT_UNIT_ITEM,       /* of a list, its marker and continued lines included */
    TEXT_UNIT_TABLE_HEAD, /* with the delimiter row */
    TEXT_UNIT_TABLE_ROW,
    TEXT_UNIT_CODE,       /* a fence, an indented block, a diff, JSON on lines of its own, $$ */
    TEXT_UNIT_TAG,        /* a line that is one tag */
    TEXT_UNIT_LABEL,      /* of a passage, see labels.h: what follows hangs on it */
    TEXT_UNIT_KINDS
};

/* Longer sentences and items are cut, behind a comma or a space where there is one,
 * never inside a character or a span. */
#define TEXT_UNIT_MAX 1200
#define TEXT_NO_PARENT UINT32_MAX
/* For who is in a hurry: a limit for a buffer of units.  Half a megabyte of lines of one letter
 * has as many as all of Tolstoy. */
#define TEXT_UNITS_MOST (65536 * sizeof(struct text_unit))

struct text_unit {
    uint32_t start, end;  /* byte offsets; white space behind a unit belongs to it */
    uint32_t parent;      /* index: the item, sentence or label that this hangs on, or TEXT_NO_PARENT */
    uint8_t  kind;        /* enum text_unit_kind */
    uint8_t  is_first;    /* begins a paragraph, or any block */
    uint16_t indent;      /* ITEM: columns in front of the marker */
};

/* "sentence", "heading" ...; by kind. */
extern const char *const text_unit_names[TEXT_UNIT_KINDS];

/* Appends a struct text_unit for each unit.  Lossless: the first begins at 0, each
 * begins where the one before it ends, the last ends with the text; an empty text has
 * none.  No unit ends inside a span of text_spans() other than a table.  spans: what
 * text_spans(text, TEXT_ALL_TYPES) gave (borrowed).
 *
 * units holds nothing else.  Linear.  Returns 0, PERILUNE_ERR_NOMEM or PERILUNE_ERR_LIMITED
 * (the limit of units; it is as long as it was). */
int text_sentences(struct slice text, const struct buf *spans, struct buf *units);

static inline struct text_unit *text_units_of(const struct buf *units, size_t *n) {
    struct slice s = buf_get(units);
    *n = s.len / sizeof(struct text_unit);
    return (struct text_unit *)(void *)(uintptr_t)s.ptr;
}

/* Does it begin with a word that needs what stands in front of it: 它 这 该 因此 但是,
 * it this therefore however? */
bool text_is_dependent(struct slice sentence);

#endif
