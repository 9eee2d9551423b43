/* services.c -- what a thread has for requests: upstreams, and the counter of their tokens.
 *
 * The counter is made when it is first needed, because most configurations never count. Its memory of counted
 * prefixes is the worker's and survives reloads; a state that is only loading has one of its own. */
#include "request/services.h"

struct tokens *services_tokens(struct services *v) {
    if (v->tokens != NULL) return v->tokens;
    v->tokens = tokens_new();
    v->owns_tokens = v->tokens != NULL;
    return v->tokens;
}

void services_deinit(struct services *v) {
    if (v->owns_tokens) tokens_free(v->tokens);
    models_put(v->models);
    *v = (struct services){ .loop = v->loop };
}
