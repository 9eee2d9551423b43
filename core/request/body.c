/* body.c -- the body of a request: its text, and the nodes of the JSON in it, as one counted object.
 *
 *     bytes --> text (a blob) --json_parse--> nodes --dialect->parse--> what policies and the gateway rely on
 *
 * A body is immutable.  What policies change is written as a new one.  Thread: the loop's. */
#include "request/body.h"

#include "base/mem.h"

static bool is_list_of_objects(const struct json_doc *d, uint32_t list) {
    if (list == JSON_NONE || json_type(d, list) != JSON_ARRAY) return false;
    for (uint32_t n = json_first(d, list); n != JSON_NONE; n = json_next(d, list, n))
        if (json_type(d, n) != JSON_OBJECT) return false;
    return true;
}

/* Other JSON may be what it likes.  A model and messages are looked for: a route may give
 * chat requests any path. */
static void read_other(struct body *b) {
    b->chat = (struct chat){ .model = JSON_NONE, .messages = JSON_NONE };
    if (json_type(&b->doc, 0) != JSON_OBJECT) return;
    uint32_t n = json_get(&b->doc, 0, SLICE("model")), list = json_get(&b->doc, 0, SLICE("messages"));
    if (n != JSON_NONE && json_type(&b->doc, n) == JSON_STRING) b->chat.model = n;
    if (is_list_of_objects(&b->doc, list)) b->chat.messages = list;
}

int body_from(struct body **out, struct blob *text, const struct dialect *d, struct failure *f) {
    *out = NULL;
    struct body *b = mem_zalloc(sizeof(*b));
    if (b == NULL) {
        failure_set(f, FAILURE_NO_MEMORY, "out of memory for the body");
        return PERILUNE_ERR_NOMEM;
    }
    b->refs = 1;
    b->dialect = d;
    int rc = chat_parse(&b->doc, blob_get(text), f);
    if (rc == 0 && d != NULL) rc = d->parse(&b->doc, &b->chat, f);
    else if (rc == 0) read_other(b);
    if (rc != 0) {
        body_put(b);
        return rc;
    }
    b->text = text;
    *out = b;
    return 0;
}

int body_new(struct body **out, struct buf *bytes, const struct dialect *d, struct failure *f) {
    *out = NULL;
    struct blob *text = blob_take(bytes);
    if (text == NULL) {
        failure_set(f, FAILURE_NO_MEMORY, "out of memory for the body");
        return PERILUNE_ERR_NOMEM;
    }
    int rc = body_from(out, text, d, f);
    if (rc != 0) blob_put(text);
    return rc;
}

struct body *body_ref(struct body *b) {
    b->refs++;
    return b;
}

void body_clear(struct body *b) {
    if (b == NULL) return;
    json_deinit(&b->doc);
    blob_put(b->text);
    b->text = NULL;
}

void body_put(struct body *b) {
    if (b == NULL || --b->refs > 0) return;
    body_clear(b);
    mem_free(b);
}
