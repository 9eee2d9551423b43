/* spans.c -- what was done for a request, step by step.
 *
 *     plan --step ended--> span --> span --> ...   in the arena of the request
 *                            |                  +--> the line of the access log
 *                            +--> x-perilune-trace, when the client asked for it
 *
 * A header goes out before the answer does, so it has the steps that ended until then; the log has all.  Names are of
 * policies: what does not belong into a header becomes an underscore. */
#include "request/spans.h"

#include <stdio.h>

#define HEADER_MOST 4096 /* bytes of the line */

static const struct slice trace_name = SLICE("x-perilune-trace");

void spans_add(struct request *r, struct slice name, const char *state, uint64_t at_us, uint64_t us) {
    struct spans *all = r->spans;
    if (all == NULL) {
        all = arena_alloc(&r->arena, sizeof(*all));
        if (all == NULL) return;
        *all = (struct spans){ .count = 0 };
        r->spans = all;
    }
    struct span *s = all->count < SPANS_MOST ? arena_alloc(&r->arena, sizeof(*s)) : NULL;
    if (s == NULL) {
        all->lost++;
        return;
    }
    *s = (struct span){ .at_us = at_us, .us = us };
    slice_copy(s->name, sizeof(s->name), name);
    slice_copy(s->state, sizeof(s->state), slice_str(state));
    if (all->last != NULL) all->last->next = s;
    else all->first = s;
    all->last = s;
    all->count++;
}

static const struct span *first_of(const struct request *r) { return r->spans ? r->spans->first : NULL; }

void spans_log(const struct request *r, struct buf *line) {
    const struct span *s = first_of(r);
    if (s == NULL) return;
    buf_puts(line, ",\"steps\":[");
    for (; s != NULL; s = s->next) {
        buf_puts(line, "{\"name\":");
        json_write_string(line, slice_str(s->name));
        buf_printf(line, ",\"state\":\"%s\",\"at_ms\":%.3f,\"ms\":%.3f}%s", s->state, (double)s->at_us / 1000,
                   (double)s->us / 1000, s->next ? "," : "");
    }
    buf_putc(line, ']');
    if (r->spans->lost > 0) buf_printf(line, ",\"steps_lost\":%u", r->spans->lost);
}

static void put_name(struct buf *out, const char *name) {
    for (; *name != '\0'; name++) {
        bool plain = (*name >= '0' && *name <= '9') || ((*name | 32) >= 'a' && (*name | 32) <= 'z') ||
                     strchr("-_.", *name) != NULL;
        buf_putc(out, plain ? *name : '_');
    }
}

void spans_header(const struct request *r, struct buf *out) {
    struct slice wanted = request_header(r, trace_name);
    const struct span *s = first_of(r);
    if (s == NULL || wanted.ptr == NULL || slice_eq(slice_trim(wanted), SLICE("0"))) return;
    size_t from = buf_len(out);
    buf_slice(out, trace_name);
    buf_puts(out, ": ");
    for (bool first = true; s != NULL && buf_len(out) - from < HEADER_MOST; s = s->next, first = false) {
        if (!first) buf_puts(out, ", ");
        put_name(out, s->name);
        buf_printf(out, ";state=%s;at=%.3f;ms=%.3f", s->state, (double)s->at_us / 1000, (double)s->us / 1000);
    }
    buf_puts(out, "\r\n");
}
