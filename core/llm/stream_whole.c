/* stream_whole.c -- the whole answer that an event of a stream may hold.
 *
 *     data: {"type":"response.completed","sequence_number":9,"response":{...}}     OpenAI's responses: this one
 *
 * Streams of chats are put together from their chunks (assemble.c); those of OpenAI's responses say all of the answer
 * once more when they end, and that is what a request without `stream` would have got. */
#include "llm/stream_whole.h"

#include "base/json.h"

static bool is_last(const struct json_doc *d) {
    static const struct slice types[] = { SLICE("\"response.completed\""), SLICE("\"response.incomplete\""),
                                          SLICE("\"response.failed\"") };
    uint32_t n = json_type(d, 0) == JSON_OBJECT ? json_get(d, 0, SLICE("type")) : JSON_NONE;
    for (size_t i = 0; n != JSON_NONE && i < sizeof(types) / sizeof(*types); i++)
        if (slice_eq(json_raw(d, n), types[i])) return true;
    return false;
}

bool stream_whole(struct slice data, struct buf *out) {
    static const struct slice mark = SLICE("\"response.");
    size_t front = data.len < 256 ? data.len : 256;
    if (memmem(data.ptr, front, mark.ptr, mark.len) == NULL) return false;
    struct json_doc d = { .nodes = NULL };
    bool found = json_parse(&d, data, &(struct json_error){ 0 }) == 0 && is_last(&d);
    uint32_t n = found ? json_get(&d, 0, SLICE("response")) : JSON_NONE;
    found = n != JSON_NONE && json_type(&d, n) == JSON_OBJECT;
    if (found) {
        buf_clear(out);
        buf_slice(out, json_raw(&d, n));
    }
    json_deinit(&d);
    return found;
}
