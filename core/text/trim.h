/* trim.h -- politeness, filler and repeated lines taken out of a prompt.  See trim.c;
 * for the phrases, trim_rules.c
 * and trim_match.c. */
#ifndef PERILUNE_TEXT_TRIM_H
#define PERILUNE_TEXT_TRIM_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* Where a phrase may be taken away.  ORDER trim_place_names. */
enum trim_place {
    TRIM_START,   /* at the beginning of a sentence: "basically" */
    TRIM_LEAD,    /* at the beginning of a sentence or, behind a comma, of a clause: "could you please" */
    TRIM_TAIL,    /* at the end of a sentence: ", thank you" */
    TRIM_WHOLE,   /* where it is a whole clause or sentence: "Thank you very much!" */
    TRIM_CONTENT, /* not taken away: a sentence with it and a colon has in front of it what is to be
                     worked on ("translate the following text:"), and that is left alone */
    TRIM_MENTION, /* not taken away: a sentence with it speaks about words ("say", "the password"), so of it
                     only a LEAD goes */
    TRIM_TASK,    /* not taken away: a text with it anywhere is to be worked on itself ("translate"): of
                     it only what stands in front in the same sentence goes */
    TRIM_BELOW,   /* not taken away: behind the paragraph that ends with a sentence with it comes what is to
                     be worked on ("is this email too long?"), and that is left alone */
    TRIM_GREETING, /* not taken away by itself: where a later paragraph begins with it, that is somebody's
                     letter, and left alone */
    TRIM_ORDER,   /* not taken away by itself: only lines that begin with it go when they are repeated */
    TRIM_PLACES
};
/* "start", "lead" ...; by place. */
extern const char *const trim_place_names[TRIM_PLACES];

/* What is taken away, and why.  ORDER trim_reason_names. */
enum trim_reason { TRIM_PHRASE, TRIM_SENTENCE, TRIM_REPEATED, TRIM_EMPTY_SECTION, TRIM_REASONS };
extern const char *const trim_reason_names[TRIM_REASONS];

struct trim_cut {
    uint32_t start, end; /* byte offsets in the text as it was given */
    uint32_t reason;
};

/* -- Phrases ------------------------------------------------------------------------- */

#define TRIM_RULE_MAX 4096u /* bytes of a pattern */

/* Phrases.  Once compiled it may be read by any thread. */
struct trim_rules;
struct trim_rules *trim_rules_new(void); /* NULL: no memory */
void trim_rules_free(struct trim_rules *r);
/* Adds the phrases of a pattern: text with (a|b) alternatives and [a|b] alternatives or
 * nothing, nested at will; a space is any white space.  At its end !(a|b): only when
 * none of these follows.  A TAIL that begins with ~ needs no space or comma in front,
 * one that begins with a comma needs a comma; !(a|b) in front of a TAIL: only when none of
 * these words stands there.
 * ASCII letters match in any case.
 * Returns 0; PERILUNE_ERR_INVAL: err says what is wrong with it; PERILUNE_ERR_LIMITED
 * (err too); PERILUNE_ERR_NOMEM.  After a failure it can only be freed. */
int trim_rules_add(struct trim_rules *r, enum trim_place place, struct slice pattern, char *err, size_t errlen);
/* Once, behind the last add and in front of everything below.  PERILUNE_ERR_LIMITED: too
 * many phrases have too little in common; PERILUNE_ERR_NOMEM. */
int trim_rules_compile(struct trim_rules *r);
/* Patterns. */
size_t trim_rules_len(const struct trim_rules *r);

/* The longest phrase for one of the places (mask of 1 << place) that begins at p in
 * [p, end), TRIM_WHOLE only where a clause ends behind it: its bytes, 0 when there is none.
 * *lead: those of the longest LEAD, if that is one of the places. */
size_t trim_rules_begin(const struct trim_rules *r, unsigned places, const char *p, const char *end, size_t *lead);
/* The longest TAIL that ends at end in [p, end). */
size_t trim_rules_end(const struct trim_rules *r, const char *p, const char *end);
/* Which of the places (mask of CONTENT, MENTION, TASK and BELOW) have a phrase anywhere in [p, end)? */
unsigned trim_rules_has(const struct trim_rules *r, unsigned places, const char *p, const char *end);

/* Bytes of the character at p that separates clauses (, ; ，；) or ends a sentence
 * (. ! ? 。！？…～): 0 when it does neither. */
size_t trim_separator(const char *p, const char *end);
size_t trim_terminator(const char *p, const char *end);

/* -- Texts --------------------------------------------------------------------------- */

struct trim_options {
    bool repeated;       /* also lines that stood there before; default true */
    unsigned repeat_min; /* bytes of a line that counts as repeated; default 24 */
    bool   (*go_on)(void *ud); /* NULL, or asked now and then: false gives up */
    void    *ud;
};
extern const struct trim_options trim_defaults;

/* Appends the text without what the rules take away; what is left is left byte for
 * byte, in order.  Nothing that overlaps a protected span goes (spans.h, but for
 * quantifiers and modals that are in a phrase itself): numbers, negations, quotes, code
 * stay; a repeated line goes whatever it holds, for it is still there once.
 *
 * Trimming twice is trimming once; a text that would become empty is left alone.  cuts:
 * NULL, or gets a struct trim_cut for every piece that is gone.  options: NULL for the
 * defaults.  Linear in the text.  Returns 0; PERILUNE_ERR_INVAL: ill-formed UTF-8;
 * PERILUNE_ERR_LIMITED: longer than TEXT_MAX; PERILUNE_ERR_NOMEM; PERILUNE_ERR_CANCELED.  On failure out and cuts
 * are as long as they were. */
int trim_text(const struct trim_rules *rules, struct slice text, const struct trim_options *options,
              struct buf *out, struct buf *cuts);

#endif
