/* vocab_import.h -- from a Hugging Face tokenizer.json to the file form.  See vocab_import.c. */
#ifndef PERILUNE_TOKENS_VOCAB_IMPORT_H
#define PERILUNE_TOKENS_VOCAB_IMPORT_H

#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

/* Appends the vocabulary that the tokenizer.json text describes to out, under a name.
 * Returns 0, PERILUNE_ERR_INVAL (not JSON, of a kind that is not supported, or it
 * contradicts itself; message says what and where in the document) or PERILUNE_ERR_NOMEM. */
int vocab_import(struct slice json, const char *name, struct buf *out, char *message, size_t size);

#endif
