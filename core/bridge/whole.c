/* whole.c -- an answer on its way, kept as the whole that it is in the end.
 *
 *     FRAME FRAME FRAME --assemble--+
 *                                   +--> {"choices":[{"message":{...}}],"usage":{...}}
 *     BYTES BYTES ------append------+
 *
 * For who keeps answers for later (capture): whatever form the client asked for, all choices, with calls of tools.  An
 * event that is no JSON, or more than the limit, spoils it, and nothing is written: half an answer is none. */
#include "bridge/whole.h"

#include "base/json.h"
#include "base/mem.h"
#include "llm/assemble.h"

struct whole {
    struct assemble assembly;
    struct json_doc doc;
    struct buf      bytes;
    bool            streams, spoilt;
};

struct whole *whole_new(size_t limit) {
    struct whole *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return NULL;
    assemble_init(&w->assembly, limit);
    buf_init(&w->bytes, limit);
    return w;
}

void whole_free(struct whole *w) {
    if (w == NULL) return;
    assemble_deinit(&w->assembly);
    json_deinit(&w->doc);
    buf_deinit(&w->bytes);
    mem_free(w);
}

void whole_add(struct whole *w, const struct event *ev) {
    struct json_error ignored;
    if (w->spoilt) return;
    if (ev->type == EVENT_BYTES) buf_slice(&w->bytes, ev->raw);
    if (ev->type != EVENT_FRAME || ev->data.len == 0 || slice_eq(ev->data, SLICE("[DONE]"))) return;
    w->streams = true;
    w->spoilt = json_parse(&w->doc, ev->data, &ignored) != 0 || assemble_add(&w->assembly, &w->doc) != 0;
}

bool whole_write(struct whole *w, struct buf *out) {
    if (w->spoilt || buf_failed(&w->bytes)) return false;
    if (w->streams) return assemble_write(&w->assembly, out);
    buf_slice(out, buf_get(&w->bytes));
    return buf_len(&w->bytes) > 0;
}
