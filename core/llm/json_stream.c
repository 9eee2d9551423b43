/* json_stream.c -- an incremental JSON parser.
 *
 *     {"title":"Mo          ->  (nothing: the string may go on)
 *     on","n":1             ->  /title = "Moon"
 *     2,"tags":["a"         ->  /n = 12     /tags/0 = "a"
 *
 * A model writes its answer over seconds, and who waits for the first field should
 * not wait for the last.  Half values are never given out: "Delete" may become
 * "DeleteIfEmpty", 1 may become 12.
 *
 * One pass: a byte is looked at once by the state machine (enum want, as in
 * base/json.c, with a stack of levels instead of nodes), and the bytes of a scalar a
 * second time, when it is complete, by json_parse(), so that both parsers agree on
 * every number, escape and byte of UTF-8.  What is kept is the unfinished token and
 * the path to it.
 *
 *     levels  { object, count 1 } { array, count 0 }      path "/tags" + "/0"
 *
 * The path of an element is made when its value begins and cut off when it ends; of
 * a member, when its key is complete.  Duplicate keys are given out twice.
 *
 * Does not build documents and does not repair.
 *
 * Thread: any; a stream belongs to one at a time. */
#include "llm/json_stream.h"

#include "base/mem.h"
#include "include/perilune.h"

#define DEFAULT_DEPTH 64
#define DEFAULT_SIZE  (16u << 20)
#define DEFAULT_VALUE (1u << 20)

enum want {
    WANT_START, /* with seek: { or [ */
    WANT_VALUE,
    WANT_ELEMENT_OR_END, /* after [ */
    WANT_KEY_OR_END,     /* after { */
    WANT_KEY,
    WANT_COLON,
    WANT_COMMA_OR_END,
    WANT_NOTHING,
};

struct run {
    struct json_stream *j;
    const char         *at, *end, *begin;
    json_stream_fn      fn;
    void               *ud;
};

/* -- Pieces ------------------------------------------------------------------------ */

static int fail(struct json_stream *j, int rc, const char *message, size_t offset) {
    j->rc = rc;
    j->error = (struct json_error){ message, offset };
    return rc;
}

static int fail_here(struct run *r, int rc, const char *message) {
    return fail(r->j, rc, message, r->j->offset + (size_t)(r->at - r->begin));
}

static int fail_memory(struct json_stream *j) { return fail(j, PERILUNE_ERR_NOMEM, "out of memory", j->start); }

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static bool ends_bare(char c) { return is_space(c) || c == ',' || c == ']' || c == '}' || c == ':' || c == '"' ||
                                       c == '[' || c == '{'; }

static struct level *top(struct json_stream *j) { return &j->levels[j->depth - 1]; }

/* Appends "/key" with ~ and / escaped. */
static void push_key(struct buf *path, struct slice key) {
    buf_putc(path, '/');
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] == '~') buf_puts(path, "~0");
        else if (key.ptr[i] == '/') buf_puts(path, "~1");
        else buf_putc(path, key.ptr[i]);
    }
}

static void cut_path(struct json_stream *j, uint32_t len) { j->path.len = j->path.mark + len; }

/* In an array: the path of the element that begins. */
static void begin_value(struct json_stream *j) {
    if (j->depth == 0 || top(j)->object) return;
    cut_path(j, top(j)->path_len);
    buf_putc(&j->path, '/');
    buf_u64(&j->path, top(j)->count);
}

static void end_value(struct json_stream *j) {
    if (j->depth == 0) {
        j->want = WANT_NOTHING;
        return;
    }
    cut_path(j, top(j)->path_len);
    top(j)->count++;
    j->want = WANT_COMMA_OR_END;
}

static int emit(struct json_stream *j, enum json_type type, struct slice text, json_stream_fn fn, void *ud) {
    if (buf_failed(&j->path)) return fail_memory(j);
    int rc = fn(ud, &(struct json_scalar){ buf_get(&j->path), type, text });
    if (rc != 0) return fail(j, rc, "given up", j->start);
    end_value(j);
    return 0;
}

/* -- Tokens -------------------------------------------------------------------------- */

/* The token is complete: a key or a scalar. */
static int end_token(struct json_stream *j, json_stream_fn fn, void *ud) {
    j->in_token = false;
    if (buf_failed(&j->token)) return fail_memory(j);
    struct json_error error = { 0 };
    int rc = json_parse(&j->doc, buf_get(&j->token), &error);
    if (rc == PERILUNE_ERR_NOMEM) return fail_memory(j);
    if (rc != 0) return fail(j, PERILUNE_ERR_INVAL, error.message, j->start + error.offset);
    if (!j->is_key) return emit(j, json_type(&j->doc, 0), buf_get(&j->token), fn, ud);

    struct buf key;
    buf_init(&key, 0);
    json_decode_string(&j->doc, 0, &key);
    cut_path(j, top(j)->path_len);
    push_key(&j->path, buf_get(&key));
    bool lost = buf_failed(&key);
    buf_deinit(&key);
    if (lost || buf_failed(&j->path)) return fail_memory(j);
    j->want = WANT_COLON;
    return 0;
}

static void begin_token(struct run *r, bool key) {
    struct json_stream *j = r->j;
    if (!key) begin_value(j);
    j->in_token = true;
    j->is_key = key;
    j->in_string = *r->at == '"';
    j->escaped = false;
    j->start = j->offset + (size_t)(r->at - r->begin);
    buf_clear(&j->token);
    buf_putc(&j->token, *r->at++);
}

/* Takes the bytes up to p into the token. */
static int take(struct run *r, const char *p) {
    buf_put(&r->j->token, r->at, (size_t)(p - r->at));
    r->at = p;
    return buf_failed(&r->j->token) ? fail_memory(r->j) : 0;
}

/* Where the token would be too long, or the end of what is here. The first byte
 * that is wrong decides, however the text is cut. */
static const char *reach(const struct run *r) {
    size_t room = r->j->limits.max_value - buf_len(&r->j->token);
    return (size_t)(r->end - r->at) < room ? r->end : r->at + room;
}

static int fail_value(struct json_stream *j) {
    return fail(j, PERILUNE_ERR_LIMITED, "a value is over max_value", j->start);
}

/* Moves on to the end of the string, or of what is here. */
static int read_string(struct run *r) {
    struct json_stream *j = r->j;
    const char *p = r->at, *stop = reach(r);
    for (; p < stop; p++) {
        if (j->escaped) j->escaped = false;
        else if (*p == '\\') j->escaped = true;
        else if (*p == '"') break;
        else if ((unsigned char)*p < 0x20) { /* now, not when the string ends: it may never */
            r->at = p;
            return fail_here(r, PERILUNE_ERR_INVAL, "control character in string");
        }
    }
    if (p == stop) return p < r->end ? fail_value(j) : take(r, p);
    return take(r, p + 1) ? j->rc : end_token(j, r->fn, r->ud);
}

static int read_bare(struct run *r) {
    const char *p = r->at, *stop = reach(r);
    while (p < stop && !ends_bare(*p)) p++;
    if (p < r->end && !ends_bare(*p)) return fail_value(r->j);
    if (take(r, p) != 0) return r->j->rc;
    return p < r->end ? end_token(r->j, r->fn, r->ud) : 0;
}

/* -- Structure --------------------------------------------------------------------------- */

static int open_container(struct run *r, bool object) {
    struct json_stream *j = r->j;
    if (j->depth == j->limits.max_depth) return fail_here(r, PERILUNE_ERR_LIMITED, "nested deeper than max_depth");
    begin_value(j);
    j->levels[j->depth++] = (struct level){ (uint32_t)buf_len(&j->path), 0, object };
    j->want = object ? WANT_KEY_OR_END : WANT_ELEMENT_OR_END;
    r->at++;
    return 0;
}

static int close_container(struct run *r) {
    struct json_stream *j = r->j;
    struct level closed = *top(j);
    if ((*r->at == '}') != closed.object) return fail_here(r, PERILUNE_ERR_INVAL, "the wrong bracket closes");
    r->at++;
    cut_path(j, closed.path_len);
    j->depth--;
    j->start = j->offset + (size_t)(r->at - r->begin);
    if (closed.count == 0)
        return emit(j, closed.object ? JSON_OBJECT : JSON_ARRAY, slice_str(closed.object ? "{}" : "[]"), r->fn, r->ud);
    end_value(j);
    return 0;
}

static int read_value(struct run *r) {
    char c = *r->at;
    if (c == '{' || c == '[') return open_container(r, c == '{');
    if (ends_bare(c) && c != '"') return fail_here(r, PERILUNE_ERR_INVAL, "a value is expected");
    begin_token(r, false);
    return 0;
}

static int read_key(struct run *r) {
    if (*r->at != '"') return fail_here(r, PERILUNE_ERR_INVAL, "a key in quotes is expected");
    begin_token(r, true);
    return 0;
}

static int read_colon(struct run *r) {
    if (*r->at != ':') return fail_here(r, PERILUNE_ERR_INVAL, "a colon is expected");
    r->at++;
    r->j->want = WANT_VALUE;
    return 0;
}

static int read_comma_or_end(struct run *r) {
    struct json_stream *j = r->j;
    if (*r->at == '}' || *r->at == ']') return close_container(r);
    if (*r->at != ',') return fail_here(r, PERILUNE_ERR_INVAL, "a comma or the end is expected");
    r->at++;
    j->want = top(j)->object ? WANT_KEY : WANT_VALUE;
    return 0;
}

/* One step at a byte that is not part of a token and not white space. */
static int step(struct run *r) {
    char c = *r->at;
    switch ((enum want)r->j->want) {
    case WANT_START:
        if (c == '{' || c == '[') r->j->want = WANT_VALUE;
        else r->at++;
        return 0;
    case WANT_ELEMENT_OR_END: return c == ']' ? close_container(r) : read_value(r);
    case WANT_VALUE: return read_value(r);
    case WANT_KEY_OR_END: return c == '}' ? close_container(r) : read_key(r);
    case WANT_KEY: return read_key(r);
    case WANT_COLON: return read_colon(r);
    case WANT_COMMA_OR_END: return read_comma_or_end(r);
    case WANT_NOTHING: break;
    }
    if (!r->j->limits.seek) return fail_here(r, PERILUNE_ERR_INVAL, "something stands behind the value");
    r->at = r->end;
    return 0;
}

/* -- Public --------------------------------------------------------------------------------- */

void json_stream_init(struct json_stream *j, const struct json_stream_limits *limits) {
    static const struct json_stream_limits none;
    memset(j, 0, sizeof(*j));
    j->limits = limits ? *limits : none;
    if (j->limits.max_depth == 0) j->limits.max_depth = DEFAULT_DEPTH;
    if (j->limits.max_depth > JSON_STREAM_DEPTH) j->limits.max_depth = JSON_STREAM_DEPTH;
    if (j->limits.max_size == 0) j->limits.max_size = DEFAULT_SIZE;
    if (j->limits.max_value == 0) j->limits.max_value = DEFAULT_VALUE;
    buf_init(&j->token, 0);
    buf_init(&j->path, 0);
    j->want = j->limits.seek ? WANT_START : WANT_VALUE;
}

void json_stream_deinit(struct json_stream *j) {
    buf_deinit(&j->token);
    buf_deinit(&j->path);
    json_deinit(&j->doc);
}

int json_stream_feed(struct json_stream *j, struct slice s, json_stream_fn fn, void *ud) {
    if (j->rc != 0) return j->rc;
    bool over = s.len > j->limits.max_size - j->offset;
    if (over) s.len = j->limits.max_size - j->offset;
    struct run r = { .j = j, .at = s.ptr, .begin = s.ptr, .end = s.ptr + s.len, .fn = fn, .ud = ud };
    while (r.at < r.end && j->rc == 0) {
        if (j->in_token && j->in_string) read_string(&r);
        else if (j->in_token) read_bare(&r);
        else if (is_space(*r.at)) r.at++;
        else step(&r);
    }
    j->offset += s.len;
    bool ignored = j->limits.seek && json_stream_is_done(j);
    if (over && j->rc == 0 && !ignored) fail(j, PERILUNE_ERR_LIMITED, "longer than max_size", j->offset);
    return j->rc;
}

int json_stream_finish(struct json_stream *j, json_stream_fn fn, void *ud) {
    if (j->rc == 0 && j->in_token && !j->in_string && j->depth == 0) end_token(j, fn, ud);
    if (j->rc == 0 && j->want != WANT_NOTHING)
        fail(j, PERILUNE_ERR_INVAL, j->want == WANT_START ? "there is no { or [" : "the text ends too early",
             j->offset);
    return j->rc;
}

bool json_stream_is_done(const struct json_stream *j) { return j->want == WANT_NOTHING; }
