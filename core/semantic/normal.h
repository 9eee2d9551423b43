/* normal.h -- the form of a text in which texts are compared. See normal.c. */
#ifndef PERILUNE_SEMANTIC_NORMAL_H
#define PERILUNE_SEMANTIC_NORMAL_H

#include "base/buf.h"

/* Appends the text in lower case, with full-width characters made half-width and other compatibility forms
 * that matter folded (NFKC where it is cheap), runs of white space as one space, none at the ends.  Bytes that are
 * not UTF-8 become U+FFFD.  On failure out has failed. */
void normal_write(struct slice text, struct buf *out);

#endif
