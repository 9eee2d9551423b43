/* nfc.h -- Unicode's form C, for tokenizers that want their text in it.  See nfc.c. */
#ifndef PERILUNE_TOKENS_NFC_H
#define PERILUNE_TOKENS_NFC_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* Is every character one that form C leaves alone whatever stands beside it?  False also
 * for some texts that are in form C.  Stops at an ill-formed byte as if the text ended. */
bool nfc_is_plain(struct slice text);
/* Appends text in form C.  text is well-formed.  0 or PERILUNE_ERR_NOMEM. */
int  nfc_append(struct slice text, struct buf *out);
/* The other way, form D: letters and their marks apart. */
int  nfc_append_decomposed(struct slice text, struct buf *out);

#endif
