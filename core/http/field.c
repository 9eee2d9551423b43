/* field.c -- header lines of messages that this program makes.
 *
 * parse.c judges what others send; this file judges what is about to be sent, wherever it
 * comes from: a policy, an upstream, the configuration.  A line break in a value would be a
 * header of its own, and a bare CR is one to some readers, so every control byte is refused.
 *
 * Whoever lays a block over another one (a policy's headers over the gateway's own) asks
 * http_field_put_unless(), so that no name stands there twice.
 *
 * Thread: any. */
#include "http/field.h"

#include "flow/headers.h"
#include "http/token.h"

const char *http_field_problem(struct slice name, struct slice value) {
    if (name.len == 0) return "a header name is empty";
    for (size_t i = 0; i < name.len; i++)
        if (!http_is_token(name.ptr[i])) return "is not a header name";
    for (size_t i = 0; i < value.len; i++)
        if (http_is_control(value.ptr[i])) return "has a value with a line break or another control byte";
    return NULL;
}

static bool is_one_of(struct slice name, const struct slice *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (slice_eq_nocase(name, names[i])) return true;
    return false;
}

bool http_field_is_framing(struct slice name) {
    static const struct slice names[] = { SLICE("connection"), SLICE("content-length"), SLICE("keep-alive"),
                                          SLICE("proxy-connection"), SLICE("te"), SLICE("trailer"),
                                          SLICE("transfer-encoding"), SLICE("upgrade") };
    return is_one_of(name, names, sizeof(names) / sizeof(*names));
}

bool http_field_is_own(struct slice name) {
    static const struct slice names[] = { SLICE("content-type"), SLICE("content-encoding"), SLICE("date"),
                                          SLICE("retry-after"), SLICE("x-perilune-upstream"), SLICE("x-request-id") };
    return is_one_of(name, names, sizeof(names) / sizeof(*names));
}

void http_field_put_unless(struct buf *out, struct slice block, struct slice name, struct slice value) {
    if (block.len > 0 && headers_find(block, name).ptr != NULL) return;
    headers_put(out, name, value);
}

bool http_status_is_bodiless(int status) { return status < 200 || status == 204 || status == 205 || status == 304; }
