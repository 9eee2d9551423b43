/* noise.h -- bytes of a text that no model should pay for. See noise.c. */
#ifndef PERILUNE_TEXT_NOISE_H
#define PERILUNE_TEXT_NOISE_H

#include "base/buf.h"
#include "base/slice.h"

/* What programs write for a terminal, as a person would have seen it.  Appends the text
 * without escape sequences (CSI, OSC and the like, single ones) and without what was
 * overwritten: a carriage return begins its line again, a backspace takes the character
 * in front away.  Line ends become \n; control bytes but \t go.
 *
 * A sequence that does not end loses its first two bytes only.  Any bytes; linear.
 * Returns 0, or PERILUNE_ERR_NOMEM (out is as long as it was). */
int text_strip_ansi(struct slice text, struct buf *out);

/* Appends the text with "[base64 N bytes elided]" in the place of each run of base64 of
 * at least min bytes (at least 64), N its length.  Also base64url, and base64 in lines of
 * equal length.  A run must look encoded, with small and capital letters and digits in
 * most parts of it, unless ";base64," is in front: hex, words and paths stay.  *count: how
 * many.  Any bytes; linear.  Returns 0, or PERILUNE_ERR_NOMEM (out is as long as it was).
 *
 * Images that a model shall see are data URLs, too: what is no text is the caller's to
 * leave alone. */
int text_elide_base64(struct slice text, size_t min, struct buf *out, size_t *count);

#endif
