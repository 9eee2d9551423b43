/* job_frames.c -- ids for the frames of a job's events.
 *
 *     event 8 of the queue: three frames      id: 8.1        whoever comes back with Last-Event-ID:
 *                                             data: {...}      "7"    gets all three
 *     what is stored goes together, as it                      "8.1"  the second and third
 *     came from the upstream in one piece     id: 8.2          "8"    what comes behind event 8
 *                                             data: {...}
 *
 *                                             id: 8
 *                                             data: {...}
 *
 * A connection may break behind any byte, and a client goes on from the last frame that it has whole: so each has an
 * id, and the last one of an event that of the event.  An event is never changed once it has a number, so the same id
 * is the same place for every process.  Lines `id` of the upstream are left out; nothing could be asked for by them.
 *
 * Lines end with LF, CR or CRLF, as the specification of text/event-stream has it, and a frame with an empty one. */
#include "gateway/job_frames.h"

/* Length of the first line, with its end. */
static size_t line_len(struct slice s) {
    size_t i = 0;
    while (i < s.len && s.ptr[i] != '\n' && s.ptr[i] != '\r') i++;
    if (i == s.len) return i;
    return s.ptr[i] == '\r' && i + 1 < s.len && s.ptr[i + 1] == '\n' ? i + 2 : i + 1;
}

static bool is_empty(struct slice line) { return line.ptr[0] == '\n' || line.ptr[0] == '\r'; }

static bool is_id(struct slice line) {
    static const struct slice name = SLICE("id");
    if (!slice_starts(line, name)) return false;
    char next = line.len > name.len ? line.ptr[name.len] : '\n';
    return next == ':' || next == '\n' || next == '\r';
}

static struct slice behind(struct slice s, size_t n) { return slice_of(s.ptr + n, s.len - n); }

/* Length of the first frame, with the empty lines behind it. */
static size_t frame_len(struct slice s) {
    size_t at = 0;
    bool text = false, ended = false;
    while (at < s.len) {
        struct slice rest = behind(s, at);
        bool empty = is_empty(rest);
        if (ended && !empty) break;
        ended = empty && text;
        text |= !empty;
        at += line_len(rest);
    }
    return at;
}

static void put_frame(struct buf *b, struct slice frame) {
    bool ended = false;
    while (frame.len > 0) {
        size_t n = line_len(frame);
        struct slice line = slice_of(frame.ptr, n);
        ended = is_empty(line);
        if (!is_id(line)) buf_slice(b, line);
        frame = behind(frame, n);
    }
    if (!ended) buf_puts(b, "\n\n"); /* the upstream broke off within it */
}

void job_frames_put(struct buf *b, struct slice data, uint64_t number, uint64_t skip) {
    for (uint64_t i = 1; data.len > 0; i++) {
        size_t n = frame_len(data);
        if (i > skip) {
            if (n == data.len) buf_printf(b, "id: %llu\n", (unsigned long long)number);
            else buf_printf(b, "id: %llu.%llu\n", (unsigned long long)number, (unsigned long long)i);
            put_frame(b, slice_of(data.ptr, n));
        }
        data = behind(data, n);
    }
}

static bool read_number(struct slice *s, uint64_t *out) {
    size_t n = 0;
    *out = 0;
    for (; n < s->len && n < 15 && s->ptr[n] >= '0' && s->ptr[n] <= '9'; n++)
        *out = *out * 10 + (uint64_t)(s->ptr[n] - '0');
    *s = behind(*s, n);
    return n > 0;
}

bool job_seen_read(struct slice id, struct job_seen *out) {
    *out = (struct job_seen){ .number = 0 };
    if (id.len == 0) return true;
    if (!read_number(&id, &out->number)) return false;
    if (id.len == 0) return true;
    if (id.ptr[0] != '.' || out->number == 0) return false;
    id = behind(id, 1);
    out->number--;
    return read_number(&id, &out->frames) && id.len == 0;
}
