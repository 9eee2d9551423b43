/* match.h -- which units hold what the question names. See match.c. */
#ifndef PERILUNE_TEXT_MATCH_H
#define PERILUNE_TEXT_MATCH_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* marks[u] = 1 for each unit (struct text_unit) that holds a number, an ID, an address, a
 * path or the contents of a quotation or of inline code that is in the question, too.  What
 * is in more than a third of the units marks none, nor do numbers of one digit.  numbers:
 * the struct text_span of the text's numbers, in order.  The first MATCH_MOST things of the
 * question count.  Linear.  Returns 0, PERILUNE_ERR_INVAL (question is not UTF-8) or
 * PERILUNE_ERR_NOMEM; marks are then as they were. */
#define TEXT_MATCH_MOST 32
int text_match(struct slice text, const struct buf *units, const struct buf *numbers, struct slice question,
               uint8_t *marks);

#endif
