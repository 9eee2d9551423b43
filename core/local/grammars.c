/* grammars.c -- grammars that were read lately.
 *
 *     text --the same as one of the last 8--> a share of it
 *       +----else: grammar_new, kept --------> a share of it
 *
 * A schema comes with every request of a program, and with each of its choices: it is read once, and what was found
 * out about it while an answer was said serves the next one.
 *
 * Invariants: the one that was not asked for longest makes room.
 *
 * Thread: the model's. */
#include "local/grammars.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

static void drop(struct grammar_read *r) {
    grammar_put(r->grammar);
    mem_free(r->text);
    *r = (struct grammar_read){ .text = NULL };
}

void grammars_clear(struct grammars *g) {
    for (unsigned i = 0; i < GRAMMARS; i++) drop(&g->at[i]);
}

static int read_new(struct grammar_read *r, const char *text, char *why, size_t why_size) {
    size_t n = strlen(text) + 1;
    drop(r);
    int rc = grammar_new(&r->grammar, text, why, why_size);
    if (rc != 0) return rc;
    r->text = mem_alloc(n);
    if (r->text != NULL) {
        memcpy(r->text, text, n);
        return 0;
    }
    drop(r);
    snprintf(why, why_size, "out of memory");
    return PERILUNE_ERR_NOMEM;
}

int grammars_get(struct grammars *g, const char *text, struct matcher *out, char *why, size_t why_size) {
    struct grammar_read *r = &g->at[0];
    *out = (struct matcher){ .grammar = NULL };
    for (unsigned i = 0; i < GRAMMARS; i++) {
        struct grammar_read *at = &g->at[i];
        if (at->text != NULL && strcmp(at->text, text) == 0) {
            r = at;
            break;
        }
        if (at->used < r->used) r = at;
    }
    if (r->text == NULL || strcmp(r->text, text) != 0) {
        int rc = read_new(r, text, why, why_size);
        if (rc != 0) return rc;
        g->reads++;
    }
    r->used = ++g->clock;
    int rc = matcher_init(out, r->grammar);
    if (rc == 0) grammar_ref(r->grammar);
    else if (rc == PERILUNE_ERR_NOMEM) snprintf(why, why_size, "out of memory");
    else snprintf(why, why_size, "%s", GRAMMAR_TOO_DEAR);
    return rc;
}
