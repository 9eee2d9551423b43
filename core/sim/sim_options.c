/* sim_options.c -- the options of the simulated upstream, as text.
 *
 * One table says key, type, place and range; it serves the configuration, the
 * x-sim request header, --fault, and (through sim_option_table()) the command
 * line, where ttft_ms is --ttft-ms.
 *
 *      "ttft_ms=20,crlf,text=\"a, \\\"b\\\"\""
 *       -key-- value                          items are split at commas that stand
 *                                             outside of quotes
 *
 * Reading copies the options first and assigns them back when the whole text was
 * good: a bad header changes nothing. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "perilune.h"
#include "cli/args.h"
#include "sim/sim.h"
#include "sim/sim_int.h"

#define FIELD(f) #f, offsetof(struct sim_options, f)

static const struct sim_option table[] = {
    { FIELD(ttft_ms), SIM_MS, 0, 3.6e6, "MS", "until the first token" },
    { FIELD(itl_ms), SIM_MS, 0, 3.6e6, "MS", "between tokens" },
    { FIELD(delay_ms), SIM_MS, 0, 3.6e6, "MS", "before the response head" },
    { FIELD(jitter), SIM_MS, 0, 1, "F", "vary each wait by +-F (0 to 1)" },
    { FIELD(tokens), SIM_COUNT, 0, 1e9, "N", "length of an answer (default 16)" },
    { FIELD(bytes), SIM_COUNT, 0, 1e12, "N", "content of N bytes instead of tokens" },
    { FIELD(text), SIM_TEXT, 0, 0, "TEXT", "answer with this text" },
    { FIELD(echo), SIM_BOOL, 0, 0, NULL, "answer with the last user message" },
    { FIELD(tool_call), SIM_BOOL, 0, 0, NULL, "call the request's first tool" },
    { FIELD(prefix_cache), SIM_BOOL, 0, 0, NULL, "keep beginnings of prompts, and say cached_tokens" },
    { FIELD(endless), SIM_BOOL, 0, 0, NULL, "tokens never end" },
    { FIELD(status), SIM_COUNT, 200, 599, "N", "answer with this HTTP status" },
    { FIELD(retry_after), SIM_COUNT, 0, 1e6, "S", "Retry-After header of an error" },
    { FIELD(cut), SIM_COUNT, 0, 1e9, "N", "close the connection after N tokens" },
    { FIELD(cut_head), SIM_BOOL, 0, 0, NULL, "close before the first byte" },
    { FIELD(reset), SIM_BOOL, 0, 0, NULL, "cuts reset the connection (RST)" },
    { FIELD(stall), SIM_COUNT, 0, 1e9, "N", "send nothing more after N tokens" },
    { FIELD(malformed), SIM_COUNT, 0, 1e9, "N", "a bad chunk size after N tokens" },
    { FIELD(error_event), SIM_COUNT, 0, 1e9, "N", "an error event after N tokens" },
    { FIELD(bad_json), SIM_BOOL, 0, 0, NULL, "JSON that breaks off" },
    { FIELD(slow), SIM_COUNT, 0, 1e9, "N", "bytes per write" },
    { FIELD(slow_ms), SIM_MS, 0, 3.6e6, "MS", "between such writes (default 1)" },
    { FIELD(split), SIM_COUNT, 0, 1e9, "N", "a write and a loop turn per N bytes" },
    { FIELD(crlf), SIM_BOOL, 0, 0, NULL, "event lines end in CRLF" },
    { FIELD(comments), SIM_BOOL, 0, 0, NULL, "a comment line before each event" },
    { FIELD(no_done), SIM_BOOL, 0, 0, NULL, "end streams without [DONE]" },
    { FIELD(not_chunked), SIM_BOOL, 0, 0, NULL, "end bodies by closing" },
};
_Static_assert(sizeof(table) / sizeof(table[0]) == SIM_OPTION_COUNT, "ORDER sim options");

const struct sim_option *sim_option_table(void) { return table; }

void sim_options_init(struct sim_options *o) {
    *o = (struct sim_options){
        .tokens = 16, .status = 200, .retry_after = -1, .cut = -1, .stall = -1,
        .malformed = -1, .error_event = -1, .slow_ms = 1,
    };
}

/* -- Values ------------------------------------------------------------------ */

static int fail(char *err, size_t errlen, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char *err, size_t errlen, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    if (errlen > 0) vsnprintf(err, errlen, fmt, ap);
    va_end(ap);
    return PERILUNE_ERR_INVAL;
}

/* strtod wants a NUL; numbers of options are short. */
static int read_number(struct slice s, double *out) {
    char  tmp[40];
    char *end;
    if (s.len == 0 || s.len >= sizeof(tmp)) return PERILUNE_ERR_INVAL;
    memcpy(tmp, s.ptr, s.len);
    tmp[s.len] = '\0';
    *out = strtod(tmp, &end);
    return *end == '\0' && isfinite(*out) ? 0 : PERILUNE_ERR_INVAL;
}

static int read_bool(struct slice s, bool *out) {
    bool yes = s.len == 0 || slice_eq(s, SLICE("1")) || slice_eq(s, SLICE("true"));
    bool no = slice_eq(s, SLICE("0")) || slice_eq(s, SLICE("false"));
    *out = yes;
    return yes || no ? 0 : PERILUNE_ERR_INVAL;
}

static struct slice unquote(struct slice s) {
    bool quoted = s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"';
    return quoted ? slice_of(s.ptr + 1, s.len - 2) : s;
}

static int assign(struct sim_options *o, const struct sim_option *d, struct slice value,
                  char *err, size_t errlen) {
    char  *at = (char *)o + d->offset;
    double v = 0;
    switch (d->type) {
    case SIM_TEXT:
        value = unquote(value);
        *(struct slice *)at = slice_of(value.ptr ? value.ptr : "", value.len);
        return 0;
    case SIM_BOOL:
        if (read_bool(value, (bool *)at) == 0) return 0;
        return fail(err, errlen, "%s wants 0 or 1, not '%.*s'", d->name, SLICE_ARG(value));
    case SIM_MS:
    case SIM_COUNT:
        if (read_number(value, &v) != 0 || (d->type == SIM_COUNT && v != floor(v))) {
            return fail(err, errlen, "%s wants a %snumber, not '%.*s'", d->name,
                        d->type == SIM_COUNT ? "whole " : "", SLICE_ARG(value));
        }
        if (v < d->min || v > d->max) {
            return fail(err, errlen, "%s=%.*s is out of range (%.15g to %.15g)", d->name,
                        SLICE_ARG(value), d->min, d->max);
        }
        if (d->type == SIM_COUNT) *(long *)at = (long)v;
        else *(double *)at = v;
        return 0;
    }
    return PERILUNE_ERR_INVAL;
}

static const struct sim_option *find(struct slice key) {
    for (size_t i = 0; i < SIM_OPTION_COUNT; i++) {
        if (slice_eq(key, slice_str(table[i].name))) return &table[i];
    }
    return NULL;
}

static int unknown(struct slice key, char *err, size_t errlen) {
    const char *names[SIM_OPTION_COUNT];
    for (size_t i = 0; i < SIM_OPTION_COUNT; i++) names[i] = table[i].name;
    const char *near = args_nearest(key.ptr, key.len, names, SIM_OPTION_COUNT);
    if (near == NULL) return fail(err, errlen, "unknown option '%.*s'", SLICE_ARG(key));
    return fail(err, errlen, "unknown option '%.*s'; did you mean '%s'?", SLICE_ARG(key), near);
}

/* -- Items ------------------------------------------------------------------- */

/* Cuts the next item off *rest, at a comma outside of quotes. */
static struct slice next_item(struct slice *rest) {
    bool   quoted = false;
    size_t i = 0;
    for (; i < rest->len; i++) {
        char ch = rest->ptr[i];
        if (quoted && ch == '\\' && i + 1 < rest->len) i++;
        else if (ch == '"') quoted = !quoted;
        else if (ch == ',' && !quoted) break;
    }
    struct slice item = slice_trim(slice_of(rest->ptr, i));
    size_t       eaten = i < rest->len ? i + 1 : i;
    rest->ptr += eaten;
    rest->len -= eaten;
    return item;
}

static int parse_item(struct sim_options *o, struct slice item, char *err, size_t errlen) {
    const char  *eq = memchr(item.ptr, '=', item.len);
    struct slice key = item, value = slice_of(NULL, 0);
    if (eq != NULL) {
        key = slice_trim(slice_of(item.ptr, (size_t)(eq - item.ptr)));
        value = slice_trim(slice_of(eq + 1, item.len - (size_t)(eq - item.ptr) - 1));
    }
    const struct sim_option *d = find(key);
    if (d == NULL) return unknown(key, err, errlen);
    if (eq == NULL && d->type != SIM_BOOL) {
        return fail(err, errlen, "%s needs a value: %s=%s", d->name, d->name, d->value);
    }
    return assign(o, d, value, err, errlen);
}

int sim_options_parse(struct sim_options *o, struct slice text, char *err, size_t errlen) {
    struct sim_options copy = *o;
    while (text.len > 0) {
        struct slice item = next_item(&text);
        if (item.len == 0) continue;
        int rc = parse_item(&copy, item, err, errlen);
        if (rc != 0) return rc;
    }
    *o = copy;
    return 0;
}

int sim_fault_parse(struct sim_fault *f, struct slice text, char *err, size_t errlen) {
    const char *colon = text.len ? memchr(text.ptr, ':', text.len) : NULL;
    double      p = -1;
    if (colon != NULL) {
        read_number(slice_trim(slice_of(text.ptr, (size_t)(colon - text.ptr))), &p);
    }
    if (!(p >= 0 && p <= 1)) {
        return fail(err, errlen, "a fault is PROBABILITY:OPTIONS, like 0.05:status=500, not '%.*s'",
                    SLICE_ARG(text));
    }
    struct slice       options = slice_of(colon + 1, text.len - (size_t)(colon + 1 - text.ptr));
    struct sim_options scratch;
    sim_options_init(&scratch);
    int rc = sim_options_parse(&scratch, options, err, errlen);
    if (rc == 0) *f = (struct sim_fault){ p, options };
    return rc;
}
