/* vocab.h -- an immutable byte-level BPE vocabulary.  See vocab.c.
 *
 * A vocabulary is the tokens' bytes, the merges with their ranks, the rules that
 * cut text into pieces before merging, and the added tokens (<|im_start|> ...).
 * Three are inside the program; others are files that `perilune vocab import`
 * made from a tokenizer.json and that are mapped, not read.
 *
 * Thread: a vocabulary never changes after it was opened; any thread may use it,
 * and the count of shares is atomic. */
#ifndef PERILUNE_TOKENS_VOCAB_H
#define PERILUNE_TOKENS_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct vocab;

/* A share of a built-in: "cl100k_base", "o200k_base", "o200k_harmony".  NULL when
 * there is no such name (vocab_builtin_name() tells) or no memory.  Costs
 * microseconds: the tables lie in the program and are paged in as they are used. */
struct vocab *vocab_builtin(struct slice name);
/* The i-th built-in's name; NULL past the last. */
const char *vocab_builtin_name(unsigned i);

/* Maps a file that `perilune vocab import` wrote.  Its version, checksum and
 * structure are verified, so that a damaged or hostile file is an error here and
 * not a wrong count or a crash later.  Returns 0, PERILUNE_ERR_INVAL (not such a
 * file, damaged), PERILUNE_ERR_IO or PERILUNE_ERR_NOMEM; on failure *out is NULL
 * and message holds a sentence that names the file, what is wrong, what to do. */
int vocab_open(const char *path, struct vocab **out, char *message, size_t size);

struct vocab *vocab_ref(struct vocab *v); /* another share; v may be NULL */
void          vocab_put(struct vocab *v); /* gives a share back; v may be NULL */

/* Borrowed, as long as v: "o200k_base", for a file what --name said at its import. */
const char *vocab_name(const struct vocab *v);
/* One more than the largest token id. */
uint32_t vocab_size(const struct vocab *v);
/* How it cuts text ("o200k"), whether it wants form C, how many added tokens it has. */
const char *vocab_split_name(const struct vocab *v);
bool        vocab_is_normalized(const struct vocab *v);
uint32_t    vocab_added_count(const struct vocab *v);
/* The id of the added token with exactly this text (<|im_end|>), or UINT32_MAX. */
uint32_t vocab_special(const struct vocab *v, struct slice text);
/* The bytes of a token, an added one's included; false: no token has this id. */
bool vocab_token(const struct vocab *v, uint32_t id, struct slice *bytes);

#endif
