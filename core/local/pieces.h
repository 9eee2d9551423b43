/* pieces.h -- the texts of a vocabulary, in order.  See pieces.c. */
#ifndef PERILUNE_LOCAL_PIECES_H
#define PERILUNE_LOCAL_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct piece {
    int32_t  token;
    uint32_t from, len;
    uint32_t common; /* bytes at its beginning that the one in front of it has, too */
};

struct pieces {
    struct piece *at;       /* those with a text, by their bytes */
    uint32_t      count;
    int32_t      *ends, *silent; /* tokens that end an answer; that stand for nothing */
    uint32_t      end_count, silent_count;
    char         *text;
    uint32_t      longest;
};

/* Writes what a token stands for; returns the bytes of it, which are at most `room`. */
typedef size_t pieces_text(void *ud, int32_t token, char *out, size_t room);
typedef bool pieces_end(void *ud, int32_t token);

/* Texts are at most `longest` bytes.  0, or PERILUNE_ERR_NOMEM. */
int  pieces_init(struct pieces *p, uint32_t vocab, uint32_t longest, pieces_text *text, pieces_end *is_end, void *ud);
void pieces_deinit(struct pieces *p); /* zeros are fine */

static inline struct slice piece_text(const struct pieces *p, const struct piece *t) {
    return (struct slice){ p->text + t->from, t->len };
}

#endif
