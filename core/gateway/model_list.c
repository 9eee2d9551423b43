/* model_list.c -- which models there are, and which paths of OpenAI's API exist.
 *
 * A model is listed under each name that a client may ask for: the upstream's own name, its
 * `model`, its `models`.  Several upstreams may answer to one; it is listed once, as of the
 * first, which is the one that would be asked. */
#include "gateway/model_list.h"

/* Name number n of a target, or NULL. */
static const char *name_at(const struct target *t, unsigned n) {
    if (n == 0) return t->name;
    if (n == 1 && t->model != NULL) return t->model;
    n -= t->model != NULL ? 2 : 1;
    return n < t->model_count ? t->models[n] : NULL;
}

/* The first target that has this name. */
static const struct target *owner_of(const struct config *c, struct slice id, unsigned *at) {
    const char *name;
    for (unsigned i = 0; i < c->target_count; i++)
        for (*at = 0; (name = name_at(&c->targets[i], *at)) != NULL; ++*at)
            if (slice_eq(slice_str(name), id)) return &c->targets[i];
    return NULL;
}

static void write_model(struct buf *out, const char *id, const struct target *owner) {
    buf_puts(out, "{\"id\":");
    json_write_string(out, slice_str(id));
    buf_puts(out, ",\"object\":\"model\",\"created\":0,\"owned_by\":");
    json_write_string(out, slice_str(owner->name));
    buf_putc(out, '}');
}

void model_list_write(const struct config *c, struct buf *out) {
    const char *id;
    bool first = true;
    buf_puts(out, "{\"object\":\"list\",\"data\":[");
    for (unsigned i = 0; i < c->target_count; i++) {
        for (unsigned n = 0, at; (id = name_at(&c->targets[i], n)) != NULL; n++) {
            if (owner_of(c, slice_str(id), &at) != &c->targets[i] || at != n) continue; /* listed before */
            if (!first) buf_putc(out, ',');
            first = false;
            write_model(out, id, &c->targets[i]);
        }
    }
    buf_puts(out, "]}");
}

bool model_list_has(const struct config *c, struct slice id) {
    unsigned at;
    return owner_of(c, id, &at) != NULL;
}

void model_list_write_one(const struct config *c, struct slice id, struct buf *out) {
    unsigned at;
    const struct target *owner = owner_of(c, id, &at);
    if (owner != NULL) write_model(out, name_at(owner, at), owner);
}

struct slice model_list_id(struct slice path) {
    struct slice folder = SLICE("/v1/models/");
    return slice_starts(path, folder) ? slice_of(path.ptr + folder.len, path.len - folder.len) : SLICE("");
}

bool path_is_openai(struct slice path) {
    /* With a slash at the end: all below.  ORDER: boot.lua knows them, too. */
    static const char *const known[] = { "/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1/responses/",
                                         "/v1/completions", "/v1/audio/", "/v1/images/", "/v1/files", "/v1/files/",
                                         "/v1/batches", "/v1/batches/", "/v1/models/" };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        struct slice k = slice_str(known[i]);
        bool below = k.ptr[k.len - 1] == '/';
        if (below ? slice_starts(path, k) && path.len > k.len : slice_eq(path, k)) return true;
    }
    return false;
}
