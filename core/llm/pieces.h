/* pieces.h -- the strings in an event of an answer. See pieces.c. */
#ifndef PERILUNE_LLM_PIECES_H
#define PERILUNE_LLM_PIECES_H

#include "base/json.h"

/* ORDER piece_kind: piece_names in pieces.c. */
enum piece_kind {
    PIECE_TEXT,      /* what the model says */
    PIECE_REASONING, /* what it thinks, where that is told */
    PIECE_REFUSAL,
    PIECE_ARGUMENTS, /* of a call of a tool: JSON, or a part of it */
    PIECE_KINDS,     /* those with a string end here */
    PIECE_TOOL = PIECE_KINDS, /* a call of a tool is mentioned */
    PIECE_END,       /* the choice is complete */
    PIECE_LOGPROBS   /* what the choice says, again: as tokens with their probabilities */
};

#define PIECE_ONLY_CALL UINT32_MAX /* no list of calls: the function_call of older servers */

extern const char *const piece_names[PIECE_KINDS]; /* "text", "reasoning", "refusal", "arguments" */

/* One string of an event, or a mark between them. */
struct piece {
    enum piece_kind kind;
    unsigned        choice; /* index, from 0 */
    unsigned        form;   /* how it is written, in the dialect's own numbers; 0: as a member of the delta */
    unsigned        part;   /* ARGUMENTS, TOOL: index of the call, or PIECE_ONLY_CALL; of others, which of
                               several strings of its kind and form */
    unsigned        place;  /* TEXT: which of the parts of one content, which are one text; from 0 */
    bool            numbered; /* the index was said, and is to be said again */
    bool            plain;  /* ARGUMENTS: text, and not JSON */
    uint32_t        node;   /* the string, JSON that stands in its place, the value of LOGPROBS, why it ENDs; JSON_NONE
                               for TOOL */
    uint32_t        name;   /* of the member that holds it: one kind has several names */
    uint32_t        call;   /* ARGUMENTS, TOOL: the object of the call; else JSON_NONE */
    unsigned        among;  /* calls in that list */
};

/* In the order in which they are said: of each choice what it thinks, says and calls, then its end. */
struct piece_list {
    struct piece *items;
    unsigned      len, cap;
    bool          failed; /* no memory for all of them */
    bool          odd;    /* text may stand in more places, where nobody knows it */
    size_t        odd_at; /* the first such place, in bytes */
};

void piece_list_add(struct piece_list *l, struct piece p);
void piece_list_deinit(struct piece_list *l);

/* A string may end with half of a character: an escaped pair of surrogates, of which the other
 * half stands in the next event.  It is kept until then. */
struct piece_half {
    char    text[6]; /* "\\ud83d" */
    uint8_t len;     /* 0: none */
};

/* Appends the decoded string, or JSON that is none as it stands. */
void piece_text(const struct json_doc *doc, uint32_t node, struct buf *out);
/* Is it a string of nothing? */
bool piece_is_empty(const struct json_doc *doc, uint32_t node);
/* Appends the text of the piece to out, behind the half that was kept. */
void piece_decode(const struct json_doc *doc, uint32_t node, struct piece_half *half, struct buf *out);
/* Nothing more comes: what is kept becomes U+FFFD. */
void piece_decode_rest(struct piece_half *half, struct buf *out);

#endif
