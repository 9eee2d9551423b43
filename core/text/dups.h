/* dups.h -- what a text says twice. See dups.c. */
#ifndef PERILUNE_TEXT_DUPS_H
#define PERILUNE_TEXT_DUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

struct text_dedupe_options {
    size_t min_bytes;   /* shorter lines and blocks stay; default 40 */
    float  likeness;    /* 0: equal but for white space; else the part of their triples of words
                           that two must share, such as 0.8; default 0 */
    bool   any_numbers; /* with likeness: also when numbers or IDs differ */
    bool   mark;        /* the first one gets " [x3]" behind it */
    bool (*go_on)(void *ud); /* NULL, or asked now and then: false gives up */
    void  *ud;
};
extern const struct text_dedupe_options text_dedupe_defaults;

struct text_dedupe_result {
    size_t lines, bytes; /* that went */
};

/* Appends the text without the lines and blocks that were there before; the first of
 * equal ones stays.  A block is what stands between empty lines, or a fence.  Single
 * lines of code, diffs, JSON, tables and formulas always stay, but such a block goes when
 * all of it was there before, byte for byte.
 *
 * With likeness two may differ in words, but never in what must not be lost: negations,
 * quantifiers, modals, quotes, URLs, paths, e-mail addresses, and (unless any_numbers)
 * numbers and IDs.
 *
 * Likeness is found by hashing (MinHash) and then counted: what goes is like what stays,
 * but two that are like each other may both stay, seldom.  Linear; deterministic.  options:
 * NULL for the defaults.  Returns 0; PERILUNE_ERR_INVAL: ill-formed UTF-8
 * (text_error_offset), likeness not in 0 to 1; PERILUNE_ERR_LIMITED (TEXT_MAX);
 * PERILUNE_ERR_NOMEM; PERILUNE_ERR_CANCELED.  On failure out is as long as it was. */
int text_dedupe(struct slice text, const struct text_dedupe_options *options, struct buf *out,
                struct text_dedupe_result *result);

#endif
