/* model_list.h -- /v1/models, and what else is served without a route. See model_list.c. */
#ifndef PERILUNE_GATEWAY_MODEL_LIST_H
#define PERILUNE_GATEWAY_MODEL_LIST_H

#include "gateway/config.h"

/* {"object":"list","data":[...]}: each model once. */
void model_list_write(const struct config *c, struct buf *out);
bool model_list_has(const struct config *c, struct slice id);
/* {"id":...,"object":"model",...} of one that is listed. */
void model_list_write_one(const struct config *c, struct slice id, struct buf *out);
/* The ID of /v1/models/ID; empty: another path. */
struct slice model_list_id(struct slice path);

/* Is this, letter for letter, one of OpenAI's paths, which go on to an upstream although no route names them? */
bool path_is_openai(struct slice path);

#endif
