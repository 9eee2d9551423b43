/* bpe.h -- text to tokens and back, exactly as the model's own tokenizer.  See bpe.c.
 *
 * Text is UTF-8 of any length; NUL is a character like others.  Ill-formed bytes
 * are PERILUNE_ERR_INVAL, never a wrong count: bpe_error_offset() says where.
 * Time is linear in the text whatever it holds.
 *
 * Thread: a `struct bpe` belongs to one thread; the vocabulary below is shared. */
#ifndef PERILUNE_TOKENS_BPE_H
#define PERILUNE_TOKENS_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

struct vocab;
struct bpe;
struct bpe_stream;

/* Flags.  Without any, a special token's text (<|im_start|>) in the text is text
 * like other: what a user wrote must not become control.  With BPE_SPECIAL it is
 * that token, as in a rendered template.  Added tokens that the vocabulary does not
 * call special (<think>) are recognized in both cases, as their tokenizer does. */
enum { BPE_SPECIAL = 1 };

#define BPE_NO_LIMIT SIZE_MAX

/* Takes a share of v; NULL when there is no memory.  The word cache (at most 3.5 MiB)
 * is allocated by the first text, so an idle tokenizer costs nothing. */
struct bpe *bpe_new(struct vocab *v);
void        bpe_free(struct bpe *b); /* b may be NULL */
/* Borrowed, as long as b. */
struct vocab *bpe_vocab(const struct bpe *b);

/* *out = the number of tokens, or limit + 1 as soon as there are more than limit
 * (BPE_NO_LIMIT: count all).  Returns 0, PERILUNE_ERR_INVAL (ill-formed UTF-8) or
 * PERILUNE_ERR_NOMEM; on failure *out is 0. */
int bpe_count(struct bpe *b, struct slice text, unsigned flags, size_t limit, size_t *out);

/* Appends the tokens to ids, a uint32_t each (native order; ids->data is aligned
 * for them when all of its content is tokens).  Returns as bpe_count, or the error of ids;
 * on failure ids is as long as it was. */
int bpe_encode(struct bpe *b, struct slice text, unsigned flags, struct buf *ids);

/* Appends the bytes of n tokens to text, added tokens as their text.  The bytes are
 * well-formed UTF-8 only when the tokens are whole characters together.  Returns 0,
 * PERILUNE_ERR_INVAL (an id that is no token; text is as long as it was) or NOMEM. */
int bpe_decode(struct bpe *b, const uint32_t *ids, size_t n, struct buf *text);

/* *bytes = the length of the longest prefix that ends where a token of the text ends,
 * not inside a character, and that counted by itself is at most max_tokens (flags 0).
 * In a text that is not in form C, or beside tokens that take white space along, it ends
 * at a character, and may be some characters shorter than it could.
 * Returns as bpe_count. */
int bpe_truncate(struct bpe *b, struct slice text, size_t max_tokens, size_t *bytes);

/* After PERILUNE_ERR_INVAL: the offset in the text of the first ill-formed byte. */
size_t bpe_error_offset(const struct bpe *b);

/* -- A text that arrives in pieces ------------------------------------------------- */

/* Counts without BPE_SPECIAL.  Keeps only the end of the text that later bytes may
 * still change.  b must outlive it and is used by its calls.  NULL: no memory. */
struct bpe_stream *bpe_stream_new(struct bpe *b);
void               bpe_stream_free(struct bpe_stream *s); /* s may be NULL */
/* The next bytes, cut anywhere, also inside a character.  Returns 0,
 * PERILUNE_ERR_INVAL or PERILUNE_ERR_NOMEM; after a failure s only can be freed. */
int bpe_stream_feed(struct bpe_stream *s, struct slice bytes);
/* *out = the tokens of all that was fed, as if the text ended here; a character that
 * is cut counts when it is whole.  s goes on.  Returns 0 or PERILUNE_ERR_NOMEM. */
int bpe_stream_count(struct bpe_stream *s, size_t *out);

#endif
