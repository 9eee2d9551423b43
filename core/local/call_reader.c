/* call_reader.c -- calls of tools in the text that a model writes.
 *
 * A model says calls in the form that its template taught it; clients of OpenAI's interface get them apart from the
 * text:
 *
 *     HERMES    text <tool_call>{"name": "f", "arguments": {}}</tool_call> text       Qwen, Hermes, Granite
 *     LLAMA3    {"name": "f", "parameters": {}}; {...}     or behind <|python_tag|>    the whole answer
 *     MISTRAL   text [TOOL_CALLS][{"name": "f", "arguments": {}, "id": "abcdefghi"}]
 *               text [TOOL_CALLS]f[ARGS]{}                                             from tekken v11 on
 *     DEEPSEEK  text <｜tool▁calls▁begin｜> and then for each call, between its own two marks,
 *               function<｜tool▁sep｜>f ```json {} ```
 *               f<｜tool▁sep｜>{}                                                   from V3.1 on
 *     GLM       text <tool_call>f
 *               <arg_key>x</arg_key>
 *               <arg_value>1</arg_value></tool_call>            blanks between marks are in some versions only
 *
 *     TEXT -> CALLS -> AFTER -> TEXT     (HERMES, GLM: a call ends, text or another may follow)
 *     START -> CALLS or PLAIN            (LLAMA3: the first character says whether all of it is calls)
 *
 * Text goes on as it comes, held back only while its end may begin an opening mark.  A call is given when it is
 * complete, not argument by argument: only then is it known to be one.  In HERMES and GLM that is at each closing
 * mark, in the others when the answer ends, since nothing follows their calls.
 *
 * An answer may be cut off within a call (max_tokens).  Calls that are complete are given then, and what the next one
 * began with is dropped: half of it is no call, and its marks are nobody's text.
 *
 * GLM writes strings as they are and everything else as JSON, so "5" and 5 are alike: what the function's schema says
 * decides.  Where it says nothing, what is JSON is taken as JSON.
 *
 * Invariants: every byte is either in a call that was given, white space or a mark beside one, in a call that was cut
 * off, or given as text: what began like a call and is none is text, opening mark included.
 *
 * Thread: its owner's. */
#include "local/call_reader.h"

#include <string.h>

#include "base/json.h"
#include "include/perilune.h"

enum { START, TEXT, CALLS, AFTER /* a call: blanks are no text */, PLAIN /* no more calls */ };

static const struct { struct slice open, close; } marks[] = {
    [CALLS_NONE] = { { "", 0 }, { "", 0 } },
    [CALLS_HERMES] = { { "<tool_call>", 11 }, { "</tool_call>", 12 } },
    [CALLS_LLAMA3] = { { "<|python_tag|>", 14 }, { "", 0 } },
    [CALLS_MISTRAL] = { { "[TOOL_CALLS]", 12 }, { "", 0 } },
    [CALLS_DEEPSEEK] = { { "<｜tool▁calls▁begin｜>", sizeof("<｜tool▁calls▁begin｜>") - 1 }, { "", 0 } },
    [CALLS_GLM] = { { "<tool_call>", 11 }, { "</tool_call>", 12 } },
    [CALLS_HARMONY] = { { "", 0 }, { "", 0 } },
};

static bool holds(struct slice s, struct slice what) { return memmem(s.ptr, s.len, what.ptr, what.len) != NULL; }

enum call_form call_form_of(struct slice t) {
    if (t.len == 0) return CALLS_NONE;
    if (holds(t, marks[CALLS_DEEPSEEK].open)) return CALLS_DEEPSEEK;
    if (holds(t, marks[CALLS_MISTRAL].open)) return CALLS_MISTRAL;
    if (holds(t, SLICE("<|channel|>")) && holds(t, SLICE("<|message|>"))) return CALLS_HARMONY;
    if (holds(t, marks[CALLS_GLM].open) && holds(t, SLICE("<arg_key>"))) return CALLS_GLM;
    if (holds(t, marks[CALLS_HERMES].open)) return CALLS_HERMES;
    if (holds(t, SLICE("<|start_header_id|>")) && holds(t, SLICE("\"parameters\": "))) return CALLS_LLAMA3;
    return CALLS_NONE;
}

struct call_shape call_shape_of(struct slice t) {
    struct call_shape s = { .form = call_form_of(t) };
    s.newer = s.form == CALLS_MISTRAL ? holds(t, SLICE("[ARGS]"))
                                      : s.form == CALLS_DEEPSEEK && !holds(t, SLICE("```json"));
    return s;
}

unsigned call_form_marks(enum call_form form, const char **out, unsigned room) {
    static const char *const all[][7] = {
        [CALLS_NONE] = { NULL },
        [CALLS_HERMES] = { "<tool_call>", "</tool_call>", NULL },
        [CALLS_LLAMA3] = { "<|python_tag|>", NULL },
        [CALLS_MISTRAL] = { "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", NULL },
        [CALLS_DEEPSEEK] = { "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
                             "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>", NULL },
        [CALLS_GLM] = { "<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", NULL },
        [CALLS_HARMONY] = { "<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>", "<|call|>", NULL },
    };
    unsigned n = 0;
    while (n < room && all[form][n] != NULL) {
        out[n] = all[form][n];
        n++;
    }
    return n;
}

void call_reader_init(struct call_reader *r, enum call_form form, const struct call_sink *sink) {
    bool none = form == CALLS_NONE || form == CALLS_HARMONY;
    *r = (struct call_reader){ .form = form, .state = none ? PLAIN : form == CALLS_LLAMA3 ? START : TEXT,
                               .sink = *sink };
    buf_init(&r->held, 0);
}

void call_reader_deinit(struct call_reader *r) { buf_deinit(&r->held); }

static int give_text(struct call_reader *r, struct slice s) { return s.len ? r->sink.on_text(r->sink.ud, s) : 0; }

/* The first n bytes of what is held are text. */
static int give_held(struct call_reader *r, size_t n) {
    int rc = give_text(r, slice_of(buf_get(&r->held).ptr, n));
    buf_consume(&r->held, n);
    return rc;
}

/* -- One call ------------------------------------------------------------------------- */

static struct slice skip_blanks(struct slice s) {
    while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\n' || *s.ptr == '\r' || *s.ptr == '\t')) s.ptr++, s.len--;
    return s;
}

/* Lines' ends, too, which slice_trim() leaves. */
static struct slice trim_lines(struct slice s) {
    s = skip_blanks(s);
    while (s.len > 0 && strchr(" \n\r\t", s.ptr[s.len - 1]) != NULL) s.len--;
    return s;
}

/* Does s end within `mark`?  Nothing does. */
static bool is_begun(struct slice s, struct slice mark) {
    return s.len < mark.len && (s.len == 0 || memcmp(s.ptr, mark.ptr, s.len) == 0);
}

static bool eat(struct slice *s, const char *what) {
    struct slice w = slice_str(what);
    if (!slice_starts(*s, w)) return false;
    *s = slice_of(s->ptr + w.len, s->len - w.len);
    return true;
}

/* The JSON object or array that s begins with; eaten.  Empty: it is not complete. */
static struct slice eat_json(struct slice *s) {
    unsigned depth = 0;
    bool string = false;
    for (size_t i = 0; i < s->len; i++) {
        char c = s->ptr[i];
        if (string) {
            if (c == '\\') i++;
            else if (c == '"') string = false;
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && depth > 0 && --depth == 0) {
            struct slice json = slice_of(s->ptr, i + 1);
            *s = slice_of(s->ptr + i + 1, s->len - i - 1);
            return json;
        }
        if (depth == 0) break;
    }
    return SLICE("");
}

/* What was read of calls that may all turn out to be none: nothing is given before all are read. */
struct batch { struct buf text; struct { size_t name, arguments, id, end; } at[64]; unsigned len; };

static bool add(struct batch *b, struct slice name, struct slice arguments, struct slice id) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    int rc = json_parse(&doc, arguments, &err);
    bool ok = rc == 0 && b->len < 64 && name.len > 0 && json_type(&doc, 0) == JSON_OBJECT;
    if (rc == PERILUNE_ERR_NOMEM) b->text.error = rc;
    json_deinit(&doc);
    if (!ok) return false;
    b->at[b->len].name = buf_len(&b->text);
    buf_slice(&b->text, name);
    b->at[b->len].arguments = buf_len(&b->text);
    buf_slice(&b->text, arguments);
    b->at[b->len].id = buf_len(&b->text);
    buf_slice(&b->text, id);
    b->at[b->len++].end = buf_len(&b->text);
    return true;
}

/* {"name", "arguments" or "parameters", "id"}; arguments may be a string that is JSON. */
static bool add_object(struct batch *b, const struct json_doc *doc, uint32_t at) {
    if (!json_is(doc, at, JSON_OBJECT)) return false;
    uint32_t name = json_get(doc, at, SLICE("name")), args = json_get(doc, at, SLICE("arguments")),
        id = json_get(doc, at, SLICE("id"));
    struct buf names, values, ids;
    if (args == JSON_NONE) args = json_get(doc, at, SLICE("parameters"));
    buf_init(&names, 0);
    buf_init(&values, 0);
    buf_init(&ids, 0);
    if (json_is(doc, name, JSON_STRING)) json_decode_string(doc, name, &names);
    if (json_is(doc, id, JSON_STRING)) json_decode_string(doc, id, &ids);
    if (args == JSON_NONE) buf_puts(&values, "{}");
    else if (json_is(doc, args, JSON_STRING)) json_decode_string(doc, args, &values);
    else buf_slice(&values, json_raw(doc, args));
    bool failed = buf_failed(&names) || buf_failed(&values) || buf_failed(&ids);
    bool ok = !failed && add(b, buf_get(&names), buf_get(&values), buf_get(&ids));
    if (failed) b->text.error = PERILUNE_ERR_NOMEM;
    buf_deinit(&names);
    buf_deinit(&values);
    buf_deinit(&ids);
    return ok;
}

/* One object, or a list of them. */
static bool add_json(struct batch *b, struct slice json) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    int rc = json_parse(&doc, json, &err);
    bool ok = rc == 0;
    if (rc == PERILUNE_ERR_NOMEM) b->text.error = rc;
    if (ok && json_type(&doc, 0) != JSON_ARRAY) ok = add_object(b, &doc, 0);
    else if (ok)
        for (uint32_t i = json_first(&doc, 0); i != JSON_NONE && ok; i = json_next(&doc, 0, i)) ok = add_object(b,
            &doc, i);
    json_deinit(&doc);
    return ok;
}

/* -- The forms ---------------------------------------------------------------------------- */

/* Each of these reads all calls of *s, and leaves it where the first stands that is none, or not complete. */

static bool read_objects(struct batch *b, struct slice *s, const char *between) {
    for (*s = skip_blanks(*s); s->len > 0; *s = skip_blanks(*s)) {
        struct slice rest = *s, json = eat_json(&rest);
        if (json.len == 0 || !add_json(b, json)) return false;
        *s = skip_blanks(rest);
        eat(s, between);
    }
    return b->len > 0;
}

/* name[CALL_ID]id[ARGS]{...}, perhaps with [TOOL_CALLS] before the next. */
static bool read_mistral(struct batch *b, struct slice *s) {
    *s = skip_blanks(*s);
    if (s->len > 0 && *s->ptr == '[') return read_objects(b, s, ";");
    while (s->len > 0) {
        const char *args = memmem(s->ptr, s->len, "[ARGS]", 6);
        if (args == NULL) return false;
        struct slice name = slice_of(s->ptr, (size_t)(args - s->ptr)), id = SLICE("");
        const char *mark = name.len ? memmem(name.ptr, name.len, "[CALL_ID]", 9) : NULL;
        if (mark) id = slice_trim(slice_of(mark + 9, (size_t)(args - mark - 9))), name.len = (size_t)(mark - name.ptr);
        struct slice rest = skip_blanks(slice_of(args + 6, s->len - (size_t)(args + 6 - s->ptr)));
        struct slice json = eat_json(&rest);
        if (!add(b, slice_trim(name), json, id)) return false;
        *s = skip_blanks(rest);
        eat(s, "[TOOL_CALLS]");
        *s = skip_blanks(*s);
    }
    return b->len > 0;
}

#define SEP "<｜tool▁sep｜>"
#define CALL_BEGIN "<｜tool▁call▁begin｜>"
#define CALL_END "<｜tool▁call▁end｜>"

static bool read_deepseek(struct batch *b, struct slice *at) {
    for (*at = skip_blanks(*at); slice_starts(*at, SLICE(CALL_BEGIN)); *at = skip_blanks(*at)) {
        struct slice s = *at;
        eat(&s, CALL_BEGIN);
        const char *sep = memmem(s.ptr, s.len, SEP, sizeof(SEP) - 1);
        if (sep == NULL) return false;
        struct slice name = slice_trim(slice_of(s.ptr, (size_t)(sep - s.ptr)));
        s = slice_of(sep + sizeof(SEP) - 1, s.len - (size_t)(sep + sizeof(SEP) - 1 - s.ptr));
        struct slice rest = skip_blanks(s);
        if (rest.len == 0) return false;
        if (*rest.ptr != '{') { /* before V3.1: what stands there is the type, and the name follows */
            const char *end = memchr(s.ptr, '\n', s.len);
            if (end == NULL) return false;
            name = slice_trim(slice_of(s.ptr, (size_t)(end - s.ptr)));
            rest = skip_blanks(slice_of(end, s.len - (size_t)(end - s.ptr)));
            if (eat(&rest, "```json") || eat(&rest, "```")) rest = skip_blanks(rest);
        }
        struct slice json = eat_json(&rest), mark;
        rest = skip_blanks(rest);
        if (eat(&rest, "```")) rest = skip_blanks(rest);
        mark = rest;
        if (!eat(&rest, CALL_END) && !is_begun(mark, SLICE(CALL_END))) return false;
        if (!add(b, name, json, SLICE(""))) return false;
        *at = mark.ptr == rest.ptr ? SLICE("") : rest; /* an answer that was cut off in its last mark */
    }
    eat(at, "<｜tool▁calls▁end｜>");
    return b->len > 0 && skip_blanks(*at).len == 0;
}

/* What stands up to `close`, which is eaten with it.  False: it does not come. */
static bool eat_up_to(struct slice *s, const char *close, struct slice *out) {
    size_t n = strlen(close);
    const char *end = s->len ? memmem(s->ptr, s->len, close, n) : NULL;
    if (end == NULL) return false;
    *out = slice_of(s->ptr, (size_t)(end - s->ptr));
    *s = slice_of(end + n, s->len - (size_t)(end - s->ptr) - n);
    return true;
}

/* A value as GLM writes it: JSON, or a string without its quotes. */
static void put_glm_value(struct buf *out, struct slice value, bool is_string) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct slice json = trim_lines(value);
    int rc = is_string || json.len == 0 ? PERILUNE_ERR_INVAL : json_parse(&doc, json, &err);
    if (rc == 0) buf_slice(out, json);
    else if (rc == PERILUNE_ERR_NOMEM) out->error = rc;
    else json_write_string(out, value);
    json_deinit(&doc);
}

static bool read_glm(struct batch *b, struct slice s, const struct call_sink *sink) {
    const char *first = s.len ? memmem(s.ptr, s.len, "<arg_key>", 9) : NULL;
    struct slice name = trim_lines(first ? slice_of(s.ptr, (size_t)(first - s.ptr)) : s), key, value;
    struct buf arguments;
    bool ok = name.len > 0;
    for (size_t i = 0; i < name.len; i++) ok = ok && (unsigned char)name.ptr[i] > ' ' && name.ptr[i] != '<';
    s = first ? slice_of(first, s.len - (size_t)(first - s.ptr)) : SLICE("");
    buf_init(&arguments, 0);
    buf_putc(&arguments, '{');
    for (bool more = false; ok && (s = skip_blanks(s)).len > 0; more = true) {
        ok = eat(&s, "<arg_key>") && eat_up_to(&s, "</arg_key>", &key);
        if (ok) s = skip_blanks(s);
        ok = ok && eat(&s, "<arg_value>") && eat_up_to(&s, "</arg_value>", &value);
        if (!ok) break;
        if (more) buf_putc(&arguments, ',');
        key = trim_lines(key);
        json_write_string(&arguments, key);
        buf_putc(&arguments, ':');
        put_glm_value(&arguments, value, sink->is_string != NULL && sink->is_string(sink->ud, name, key));
    }
    buf_putc(&arguments, '}');
    if (buf_failed(&arguments)) b->text.error = arguments.error;
    ok = ok && !buf_failed(&arguments) && add(b, name, buf_get(&arguments), SLICE(""));
    buf_deinit(&arguments);
    return ok;
}

static bool read_all(const struct call_reader *r, struct batch *b, struct slice *s) {
    switch (r->form) {
    case CALLS_GLM: return read_glm(b, *s, &r->sink);
    case CALLS_MISTRAL: return read_mistral(b, s);
    case CALLS_DEEPSEEK: return read_deepseek(b, s);
    default: return read_objects(b, s, ";");
    }
}

/* -- What was cut off ------------------------------------------------------------------------ */

bool call_json_is_cut(struct slice s) {
    static const struct slice words[] = { { "true", 4 }, { "false", 5 }, { "null", 4 } };
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    int rc = json_parse(&doc, s, &err);
    json_deinit(&doc);
    if (rc != PERILUNE_ERR_INVAL || s.len == 0 || err.offset > s.len) return false;
    struct slice rest = slice_of(s.ptr + err.offset, s.len - err.offset);
    if (rest.len == 0 || strcmp(err.message, "unterminated string") == 0) return true;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_begun(rest, words[i])) return true;
    return rest.len < 6 && strncmp(err.message, "escape \\u", 9) == 0; /* its digits are missing */
}

static bool is_object_cut(struct slice s) { return s.len == 0 || (*s.ptr == '{' && call_json_is_cut(s)); }

/* The letters of a function's name that s begins with; eaten. */
static void eat_name(struct slice *s) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/";
    while (s->len > 0 && *s->ptr != '\0' && strchr(letters, *s->ptr) != NULL) s->ptr++, s->len--;
}

static bool is_mistral_cut(struct slice s) {
    if (is_begun(s, SLICE("[TOOL_CALLS]"))) return true;
    eat_name(&s);
    if (eat(&s, "[CALL_ID]")) eat_name(&s);
    return eat(&s, "[ARGS]") ? is_object_cut(skip_blanks(s)) : is_begun(s, SLICE("[ARGS]")) ||
                                                               is_begun(s, SLICE("[CALL_ID]"));
}

static bool is_glm_cut(struct slice s) {
    if (s.len > 0 && memmem(s.ptr, s.len, marks[CALLS_GLM].close.ptr, marks[CALLS_GLM].close.len)) return false;
    eat_name(&s);
    s = skip_blanks(s);
    return slice_starts(s, SLICE("<arg_key>")) || is_begun(s, SLICE("<arg_key>")) ||
           is_begun(s, marks[CALLS_GLM].close);
}

/* Is s what a call begins with?  Nothing is, too: then only its mark came. */
static bool is_cut(const struct call_reader *r, struct slice s) {
    s = skip_blanks(s);
    switch (r->form) {
    case CALLS_GLM: return is_glm_cut(s);
    case CALLS_MISTRAL: return is_object_cut(s) || is_mistral_cut(s);
    case CALLS_DEEPSEEK: return is_begun(s, SLICE(CALL_BEGIN)) || is_begun(s, SLICE("<｜tool▁calls▁end｜>")) ||
                                (slice_starts(s, SLICE(CALL_BEGIN)) && !holds(s, SLICE(CALL_END)));
    default: return is_object_cut(s);
    }
}

/* The answer ended within calls, which s may not be all of: those that are complete are read, and what another began
 * with is dropped.  False: it is something else. */
static bool read_cut(const struct call_reader *r, struct batch *b, struct slice s, bool marked) {
    s = skip_blanks(s);
    bool list = r->form == CALLS_MISTRAL && eat(&s, "["), whole = false;
    if (list) whole = read_objects(b, &s, ",");
    else if (r->form != CALLS_GLM) whole = read_all(r, b, &s);
    return whole || ((marked || b->len > 0) && is_cut(r, s));
}

/* -- Giving -------------------------------------------------------------------------------- */

/* Gives the calls of s; *none: it holds none, or not only calls.  cut: nothing follows, and `marked` says whether an
 * opening mark stood in front. */
static int give_calls(struct call_reader *r, struct slice s, bool cut, bool marked, bool *none) {
    struct batch b = { .len = 0 };
    struct slice rest = s;
    buf_init(&b.text, 0);
    *none = !read_all(r, &b, &rest);
    if (*none && cut) {
        b.len = 0;
        if (!buf_failed(&b.text)) buf_clear(&b.text);
        *none = !read_cut(r, &b, s, marked);
    }
    int rc = buf_failed(&b.text) ? PERILUNE_ERR_NOMEM : 0;
    const char *p = buf_get(&b.text).ptr;
    for (unsigned i = 0; i < b.len && rc == 0 && !*none; i++) {
        const struct call_said call = { r->calls++, slice_of(p + b.at[i].name, b.at[i].arguments - b.at[i].name),
                                        slice_of(p + b.at[i].arguments, b.at[i].id - b.at[i].arguments),
                                        slice_of(p + b.at[i].id, b.at[i].end - b.at[i].id) };
        rc = r->sink.on_call(r->sink.ud, &call);
    }
    buf_deinit(&b.text);
    return rc;
}

/* -- The text as it comes -------------------------------------------------------------------- */

/* How many bytes at the end of s may begin mark? */
static size_t begins(struct slice s, struct slice mark) {
    size_t n = s.len < mark.len - 1 ? s.len : mark.len - 1;
    while (n > 0 && memcmp(s.ptr + s.len - n, mark.ptr, n) != 0) n--;
    return n;
}

static int in_text(struct call_reader *r, bool *again) {
    struct slice s = buf_get(&r->held), open = marks[r->form].open;
    const char *at = s.len ? memmem(s.ptr, s.len, open.ptr, open.len) : NULL;
    *again = at != NULL;
    if (at != NULL) r->state = CALLS, r->seen = 0;
    return give_held(r, at ? (size_t)(at - s.ptr) : s.len - begins(s, open));
}

/* LLAMA3: does the answer begin as a call does? */
static int at_start(struct call_reader *r, bool *again) {
    struct slice s = skip_blanks(buf_get(&r->held)), open = marks[r->form].open;
    *again = s.len > 0 && !(s.len < open.len && memcmp(s.ptr, open.ptr, s.len) == 0);
    if (*again) r->state = *s.ptr == '{' || slice_starts(s, open) ? CALLS : PLAIN;
    return 0;
}

/* held begins with the opening mark, or for LLAMA3 perhaps with the call itself. */
static int in_calls(struct call_reader *r, bool *again) {
    struct slice s = buf_get(&r->held), open = marks[r->form].open, close = marks[r->form].close;
    *again = false;
    if (s.len > CALL_READER_MAX) {
        *again = true;
        r->state = PLAIN;
        return 0;
    }
    if (close.len == 0) return 0;
    for (size_t from = r->seen > open.len ? r->seen : open.len; from < s.len; r->seen = from) {
        const char *end = memmem(s.ptr + from, s.len - from, close.ptr, close.len);
        if (end == NULL) {
            r->seen = s.len - begins(s, close);
            return 0;
        }
        bool none;
        int rc = give_calls(r, slice_of(s.ptr + open.len, (size_t)(end - s.ptr) - open.len), false,
                            true, &none);
        from = (size_t)(end - s.ptr) + close.len; /* the mark may stand in a string: then the next one counts */
        if (rc != 0) return rc;
        if (none) continue;
        buf_consume(&r->held, from);
        r->state = AFTER;
        *again = true;
        return 0;
    }
    return 0;
}

static int after_call(struct call_reader *r, bool *again) {
    struct slice s = buf_get(&r->held), rest = skip_blanks(s);
    buf_consume(&r->held, s.len - rest.len);
    *again = rest.len > 0;
    if (*again) r->state = TEXT;
    return 0;
}

int call_reader_push(struct call_reader *r, struct slice piece) {
    int rc = 0;
    if (r->state == PLAIN && buf_len(&r->held) == 0) return give_text(r, piece);
    buf_slice(&r->held, piece);
    if (buf_failed(&r->held)) return PERILUNE_ERR_NOMEM;
    for (bool again = true; again && rc == 0;) {
        if (r->state == START) rc = at_start(r, &again);
        else if (r->state == TEXT) rc = in_text(r, &again);
        else if (r->state == CALLS) rc = in_calls(r, &again);
        else if (r->state == AFTER) rc = after_call(r, &again);
        else rc = give_held(r, buf_len(&r->held)), again = false;
    }
    return rc;
}

int call_reader_finish(struct call_reader *r, bool cut) {
    struct slice s = buf_get(&r->held), open = marks[r->form].open, close = marks[r->form].close;
    bool none = true;
    int rc = 0;
    if (r->state == CALLS) {
        struct slice calls = skip_blanks(s);
        bool marked = slice_starts(calls, open);
        if (marked) calls = slice_of(calls.ptr + open.len, calls.len - open.len);
        if (close.len > 0) calls.len -= begins(calls, close);
        /* GLM's arguments have no bracket around them: only its mark says that all of them are here. */
        if (cut && r->form == CALLS_GLM) none = !is_cut(r, calls);
        else rc = give_calls(r, calls, true, marked, &none);
    }
    r->state = PLAIN;
    if (rc == 0 && none) return give_held(r, s.len);
    buf_clear(&r->held);
    return rc;
}
