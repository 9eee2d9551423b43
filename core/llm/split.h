/* split.h -- the rules that cut text into pieces before anything is merged.  See split.c. */
#ifndef PERILUNE_LLM_SPLIT_H
#define PERILUNE_LLM_SPLIT_H

#include <stddef.h>

/* Written into files: never renumber. */
enum split_kind {
    SPLIT_NONE,     /* the whole text is one piece */
    SPLIT_GPT2,     /* ByteLevel with use_regex */
    SPLIT_CL100K,   /* tiktoken's cl100k_base */
    SPLIT_LLAMA3,   /* like it, but for white space at the end of the text */
    SPLIT_QWEN,     /* like llama3, digits one by one */
    SPLIT_O200K,
    SPLIT_DEEPSEEK, /* three splits, one inside the other */
    SPLIT_KINDS
};

/* The end of the piece that begins at p (before end, on a character), or NULL: the
 * bytes there are not UTF-8. */
typedef const unsigned char *split_fn(const unsigned char *p, const unsigned char *end);

split_fn   *split_rule(enum split_kind kind);
const char *split_name(enum split_kind kind);

#endif
