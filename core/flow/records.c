/* records.c -- the content of an answer in one row of bytes. See records.h. */
#include "flow/records.h"

#include <string.h>

struct record {
    uint32_t type, raw_len, data_off, data_len;
};

bool records_put(struct buf *out, const struct event *ev) {
    bool inside = ev->data.ptr >= ev->raw.ptr && ev->data.ptr + ev->data.len <= ev->raw.ptr + ev->raw.len;
    struct record rec = { .type = ev->type, .raw_len = (uint32_t)ev->raw.len, .data_len = (uint32_t)ev->data.len };
    rec.data_off = inside ? (uint32_t)(ev->data.ptr - ev->raw.ptr) : rec.raw_len;
    if (buf_reserve(out, sizeof(rec) + ev->raw.len + (inside ? 0 : ev->data.len)) == NULL) return false;
    buf_put(out, &rec, sizeof(rec));
    buf_slice(out, ev->raw);
    if (!inside) buf_slice(out, ev->data);
    return true;
}

bool records_next(struct slice all, size_t *at, struct event *ev) {
    struct record rec;
    if (all.len - *at < sizeof(rec)) return false;
    memcpy(&rec, all.ptr + *at, sizeof(rec));
    size_t data_end = (size_t)rec.data_off + rec.data_len, size = data_end > rec.raw_len ? data_end : rec.raw_len;
    if (all.len - *at - sizeof(rec) < size) return false;
    const char *raw = all.ptr + *at + sizeof(rec);
    *ev = (struct event){ .type = (enum event_type)rec.type, .raw = slice_of(raw, rec.raw_len),
                          .data = slice_of(raw + rec.data_off, rec.data_len) };
    *at += sizeof(rec) + size;
    return true;
}
