/* body.c -- text plus nodes, one count. */
#include "bridge/body.h"

#include "base/mem.h"

int body_new(struct body **out, struct buf *bytes, int kind, struct failure *f) {
    *out = NULL;
    struct body *b = mem_zalloc(sizeof(*b));
    struct blob *text = b ? blob_take(bytes) : NULL;
    if (text == NULL) {
        mem_free(b);
        failure_set(f, FAILURE_NO_MEMORY, "out of memory for the body");
        return PERILUNE_ERR_NOMEM;
    }
    b->refs = 1;
    b->text = text;
    int rc = chat_parse(&b->doc, blob_get(text), f);
    if (rc == 0 && kind >= 0) rc = chat_read((enum chat_kind)kind, &b->doc, &b->chat, f);
    if (rc != 0) {
        body_put(b);
        return rc;
    }
    *out = b;
    return 0;
}

struct body *body_ref(struct body *b) {
    b->refs++;
    return b;
}

void body_put(struct body *b) {
    if (b == NULL || --b->refs > 0) return;
    json_deinit(&b->doc);
    blob_put(b->text);
    mem_free(b);
}
