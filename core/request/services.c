/* services.c -- see services.h. */
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
