/* services.c -- what a thread has for requests: upstreams, the counter of their tokens, questions.
 *
 * Counter and questions are made when they are first needed, because most configurations never count and have no
 * cache. The counter's memory of counted prefixes is the worker's and survives reloads; a state that is only
 * loading has one of its own. */
#include "request/services.h"

#include "semantic/embedding.h"

struct tokens *services_tokens(struct services *v) {
    if (v->tokens != NULL) return v->tokens;
    v->tokens = tokens_new();
    v->owns_tokens = v->tokens != NULL;
    return v->tokens;
}

struct questions *services_questions(struct services *v) {
    if (v->questions == NULL) v->questions = questions_new();
    return v->questions;
}

struct embedder *services_embedder(struct services *v) {
    if (v->embedder == NULL) v->embedder = embedder_new(NULL, near_grams(v->stores->near));
    return v->embedder;
}

void services_forget(struct services *v) {
    questions_free(v->questions);
    embedder_free(v->embedder);
    v->questions = NULL;
    v->embedder = NULL;
}

void services_deinit(struct services *v) {
    if (v->owns_tokens) tokens_free(v->tokens);
    questions_free(v->questions);
    embedder_free(v->embedder);
    models_put(v->models);
    *v = (struct services){ .loop = v->loop };
}
