/* answer_lines.h -- the header lines of an answer and of an error.  See answer_lines.c. */
#ifndef PERILUNE_GATEWAY_ANSWER_LINES_H
#define PERILUNE_GATEWAY_ANSWER_LINES_H

#include "gateway/exchange.h"

/* Appends those of x's answer, from its HEAD on; type: what the answer is, or empty. */
void answer_lines(const struct exchange *x, struct slice type, struct buf *out);
/* Appends those of an error that x ends with. */
void answer_error_lines(const struct exchange *x, const struct failure *f, struct buf *out);

#endif
