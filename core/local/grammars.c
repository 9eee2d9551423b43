/* grammars.c -- grammars that an engine has read.
 *
 *     text --the same as one of the last 8--> copy
 *       +----else: grammar_new, kept --------> copy
 *
 * A schema comes with every request of a program, and with each of its choices: it is read once.  An engine that
 * copies no grammars reads it each time.
 *
 * Invariants: what is kept was never used, so a copy begins at the beginning.  The one that was not asked for longest
 * makes room.
 *
 * Thread: the model's. */
#include "local/grammars.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

static void drop(struct grammar_read *r, const struct perilune_engine *e) {
    if (r->grammar != NULL) e->grammar_free(r->grammar);
    mem_free(r->text);
    *r = (struct grammar_read){ .text = NULL };
}

void grammars_clear(struct grammars *g, const struct perilune_engine *e) {
    for (unsigned i = 0; i < GRAMMARS; i++) drop(&g->at[i], e);
}

static int out_of_memory(char *why, size_t why_size) {
    snprintf(why, why_size, "out of memory");
    return PERILUNE_ERR_NOMEM;
}

int grammars_get(struct grammars *g, const struct perilune_engine *e, struct perilune_engine_model *m,
                 const char *text, struct perilune_engine_grammar **out, char *why, size_t why_size) {
    struct grammar_read *r = &g->at[0];
    *out = NULL;
    if (e->grammar_copy == NULL) return e->grammar_new(m, text, out, why, why_size);
    for (unsigned i = 0; i < GRAMMARS; i++) {
        struct grammar_read *at = &g->at[i];
        if (at->text != NULL && strcmp(at->text, text) == 0) {
            r = at;
            break;
        }
        if (at->used < r->used) r = at;
    }
    if (r->text == NULL || strcmp(r->text, text) != 0) {
        drop(r, e);
        size_t n = strlen(text) + 1;
        int rc = e->grammar_new(m, text, &r->grammar, why, why_size);
        r->text = rc == 0 ? mem_alloc(n) : NULL;
        if (rc == 0 && r->text == NULL) rc = out_of_memory(why, why_size);
        if (rc != 0) {
            drop(r, e);
            return rc;
        }
        memcpy(r->text, text, n);
    }
    r->used = ++g->clock;
    *out = e->grammar_copy(r->grammar);
    return *out != NULL ? 0 : out_of_memory(why, why_size);
}
