/* err_body.c -- what an upstream says when it fails, in whatever shape.
 *
 *     {"error":{"message":..,"type":..,"code":..}}     OpenAI, and most who follow it
 *     {"error":"model not found"}                      Ollama
 *     {"object":"error","message":..,"code":400}       vLLM; Mistral puts an object in message
 *     {"detail":"..."}, {"detail":[{"loc":[..],"msg":..}]}   FastAPI
 *     {"code":1302,"msg":"..","success":false}         Zhipu; DashScope, Baidu, MiniMax: much the same
 *     {"message":..}, [{"error":{..}}], <html>, text   proxies in between, Google, anybody
 *
 * One walk finds the reason in all of them: an object is searched for a member that
 * holds the error, then for one that holds the sentence.  What it finds goes into a
 * struct failure: the message for people, code and type for programs, param for the
 * field at fault.
 *
 * The status decides whether trying again can help.  An error inside an answer has
 * no status of its own: it may name one ("code": 429), or its words may mean one
 * ("overloaded_error").  An account that has run out of money is "429" as well, and
 * no second try will fill it: such words end the trying whatever the status is.
 *
 * Pure functions; nothing is kept of the body. */
#include "base/err_body.h"

#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 4 /* objects around the sentence; more would be no error's shape */
#define ITEMS_MAX 3 /* complaints of one list that are told */

struct said {
    int  status; /* that the error names; 0: none */
    char message[300], type[40], code[48], param[64];
};

/* -- Statuses ----------------------------------------------------------------------- */

int err_body_client_status(int status) {
    if (status >= 400 && status < 500) return status;
    if (status == 503 || status == 529) return 503;
    return status == 504 ? 504 : 502;
}

static const char *type_of(int status) {
    if (status == 401) return "authentication_error";
    if (status == 403) return "permission_error";
    return status == 429 ? "rate_limit_error" : "invalid_request_error";
}

/* f has its kind and message; the rest of it follows from the status. */
static void set_status(struct failure *f, int status) {
    f->status = err_body_client_status(status);
    f->retryable = failure_status_is_retryable(status);
    if (status == 429) snprintf(f->code, sizeof(f->code), "rate_limit_exceeded");
    if (f->status < 500) snprintf(f->type, sizeof(f->type), "%s", type_of(status));
}

static bool has_word(const struct said *s, const char *word) {
    return strcasestr(s->code, word) != NULL || strcasestr(s->type, word) != NULL;
}

/* No money, no second try. */
static bool is_quota(const struct said *s) {
    static const char *const words[] = { "insufficient_quota", "billing", "insufficient_balance", "insufficient_credit",
                                         "insufficient_user_quota", "exceeded_current_quota" };
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (has_word(s, words[i])) return true;
    return false;
}

static void said_by(const struct failure *f, struct said *out) {
    snprintf(out->code, sizeof(out->code), "%s", f->code);
    snprintf(out->type, sizeof(out->type), "%s", f->type);
}

bool err_body_is_quota(const struct failure *f) {
    struct said s = { .status = 0 };
    said_by(f, &s);
    return f->status == 402 || is_quota(&s);
}

bool err_body_is_content(const struct failure *f) {
    static const char *const words[] = { "content_policy", "content_filter", "moderation", "safety",
                                         "context_length", "context_window", "string_above_max_length" };
    struct said s = { .status = 0 };
    said_by(f, &s);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (has_word(&s, words[i])) return true;
    return false;
}

/* What code and type mean; 0: nothing known.  OpenAI's words, Anthropic's, DashScope's, and the names
 * of Python's exceptions, which vLLM and SGLang send. */
static int status_of_words(const struct said *s) {
    static const struct { const char *word; int status; } known[] = {
        { "rate_limit", 429 }, { "ratelimit", 429 }, { "too_many_requests", 429 },
        { "throttling", 429 }, { "invalid_api_key", 401 }, { "InvalidApiKey", 401 }, { "authentication", 401 },
        { "permission", 403 }, { "not_found", 404 }, { "NotFoundError", 404 },
        { "request_too_large", 413 }, { "context_length_exceeded", 400 }, { "content_filter", 400 },
        { "content_policy", 400 }, { "invalid_request", 400 }, { "BadRequest", 400 },
        { "InvalidParameter", 400 },
        { "overloaded", 503 }, { "unavailable", 503 }, { "timeout", 504 },
    };
    if (is_quota(s)) return 429;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (has_word(s, known[i].word)) return known[i].status;
    return 0;
}

/* -- The walk ----------------------------------------------------------------------- */

/* Cut to fit, and not inside a character. */
static void copy_text(char *to, size_t size, struct slice s) {
    if (s.len >= size) s.len = size - 1;
    s.len = utf8_valid_prefix(s);
    slice_copy(to, size, s);
}

static void copy_string(const struct json_doc *d, uint32_t n, char *to, size_t size) {
    struct buf text;
    if (!json_is(d, n, JSON_STRING)) return;
    buf_init(&text, 0);
    json_decode_string(d, n, &text);
    if (buf_len(&text) > 0 && !buf_failed(&text)) copy_text(to, size, buf_get(&text));
    buf_deinit(&text);
}

/* A number, or a string of digits; 0: neither. */
static double number_at(const struct json_doc *d, uint32_t n) {
    char text[8] = "";
    if (json_is(d, n, JSON_NUMBER)) return json_number(d, n);
    copy_string(d, n, text, sizeof(text));
    return text[strspn(text, "0123456789")] == '\0' ? strtod(text, NULL) : 0;
}

/* That can be the status of an error. */
static int status_at(const struct json_doc *d, uint32_t n) {
    double v = number_at(d, n);
    return v >= 400 && v <= 599 && v == (int)v ? (int)v : 0;
}

static void read_names(const struct json_doc *d, uint32_t object, struct said *out) {
    static const char *const statuses[] = { "code", "status", "status_code", "http_status", "statusCode" };
    for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses) && out->status == 0; i++)
        out->status = status_at(d, json_get(d, object, slice_str(statuses[i])));
    copy_string(d, json_get(d, object, SLICE("param")), out->param, sizeof(out->param));
    copy_string(d, json_get(d, object, SLICE("type")), out->type, sizeof(out->type));
    uint32_t code = json_get(d, object, SLICE("code"));
    if (status_at(d, code) == 0) copy_string(d, code, out->code, sizeof(out->code));
}

/* ["body","messages",0,"role"] -> "messages.0.role" */
static void read_place(const struct json_doc *d, uint32_t loc, char *to, size_t size) {
    size_t n = 0;
    for (uint32_t e = json_first(d, loc); e != JSON_NONE && n < size; e = json_next(d, loc, e)) {
        char step[40] = "";
        if (json_is(d, e, JSON_NUMBER)) slice_copy(step, sizeof(step), json_raw(d, e));
        else copy_string(d, e, step, sizeof(step));
        if (n == 0 && strcmp(step, "body") == 0) continue;
        n += (size_t)snprintf(to + n, size - n, "%s%s", n ? "." : "", step);
    }
}

static void add_message(struct said *out, const char *place, const char *text) {
    size_t n = strlen(out->message);
    snprintf(out->message + n, sizeof(out->message) - n, "%s%s%s%s", n ? "; " : "", place, place[0] ? ": " : "", text);
}

/* One complaint of FastAPI's: where, and what.  False: it is none. */
static bool read_item(const struct json_doc *d, uint32_t item, struct said *out) {
    uint32_t loc = json_is(d, item, JSON_OBJECT) ? json_get(d, item, SLICE("loc")) : JSON_NONE;
    char place[64] = "", text[200] = "";
    if (!json_is(d, loc, JSON_ARRAY)) return false;
    read_place(d, loc, place, sizeof(place));
    copy_string(d, json_get(d, item, SLICE("msg")), text, sizeof(text));
    if (out->param[0] == '\0') memcpy(out->param, place, sizeof(place));
    add_message(out, place, text);
    return true;
}

static void read_value(const struct json_doc *d, uint32_t n, struct said *out, int depth);

static void read_list(const struct json_doc *d, uint32_t list, struct said *out, int depth) {
    int told = 0;
    for (uint32_t e = json_first(d, list); e != JSON_NONE && told < ITEMS_MAX; e = json_next(d, list, e)) {
        bool complaint = read_item(d, e, out);
        if (!complaint) read_value(d, e, out, depth + 1);
        told = complaint ? told + 1 : ITEMS_MAX;
    }
}

static void read_object(const struct json_doc *d, uint32_t object, struct said *out, int depth) {
    static const char *const inner[] = { "error", "errors", "detail", "message", "msg", "error_message",
                                         "error_msg", "error_description", "base_resp", "status_msg", "title" };
    read_names(d, object, out);
    for (size_t i = 0; i < sizeof(inner) / sizeof(*inner) && out->message[0] == '\0'; i++) {
        uint32_t n = json_get(d, object, slice_str(inner[i]));
        if (n != JSON_NONE) read_value(d, n, out, depth + 1);
    }
}

static void read_value(const struct json_doc *d, uint32_t n, struct said *out, int depth) {
    if (depth > DEPTH_MAX) return;
    switch (json_type(d, n)) {
    case JSON_STRING: copy_string(d, n, out->message, sizeof(out->message)); break;
    case JSON_ARRAY: read_list(d, n, out, depth); break;
    case JSON_OBJECT: read_object(d, n, out, depth); break;
    default: break;
    }
}

/* -- Text and HTML ------------------------------------------------------------------ */

static bool find_nocase(struct slice s, const char *word, size_t *at) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.len; i++) {
        if (strncasecmp(s.ptr + i, word, n) != 0) continue;
        *at = i;
        return true;
    }
    return false;
}

/* What stands in <name>, or nothing. */
static struct slice inside_tag(struct slice html, const char *open, const char *close) {
    size_t from, to;
    if (!find_nocase(html, open, &from)) return slice_of(NULL, 0);
    from += strlen(open);
    struct slice rest = slice_of(html.ptr + from, html.len - from);
    return find_nocase(rest, close, &to) ? slice_of(rest.ptr, to) : slice_of(NULL, 0);
}

static struct slice trim_lines(struct slice s) {
    while (s.len > 0 && (unsigned char)s.ptr[0] <= ' ') s = slice_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && (unsigned char)s.ptr[s.len - 1] <= ' ') s.len--;
    return s;
}

/* A page's title, or the first line of a text.  More of a page might name machines that
 * are nobody's business. */
static void read_text(struct slice body, struct said *out) {
    struct slice s = trim_lines(body);
    if (s.len > 0 && s.ptr[0] == '<') {
        struct slice title = inside_tag(s, "<title>", "</title>");
        s = trim_lines(title.len > 0 ? title : inside_tag(s, "<h1>", "</h1>"));
    }
    size_t line = 0;
    while (line < s.len && s.ptr[line] != '\n' && s.ptr[line] != '\r') line++;
    copy_text(out->message, sizeof(out->message), slice_of(s.ptr, line));
    slice_mute(out->message);
}

/* -- Into a failure ----------------------------------------------------------------- */

static void tell(struct failure *f, const struct said *s) {
    if (s->code[0]) snprintf(f->code, sizeof(f->code), "%s", s->code);
    if (s->type[0]) snprintf(f->type, sizeof(f->type), "%s", s->type);
    if (s->param[0]) snprintf(f->param, sizeof(f->param), "%s", s->param);
    if (!is_quota(s)) return;
    f->retryable = false;
    if (s->code[0] == '\0') snprintf(f->code, sizeof(f->code), "insufficient_quota");
}

void err_body_status(struct failure *f, int status) {
    failure_set(f, FAILURE_UPSTREAM_STATUS, "the upstream answered %d", status);
    set_status(f, status);
}

void err_body_add(struct failure *f, struct slice body) {
    struct said s = { .status = 0 };
    struct json_doc doc = { .nodes = NULL };
    body = json_without_bom(body);
    if (json_parse(&doc, body, &(struct json_error){ 0 }) == 0) read_value(&doc, 0, &s, 0);
    else read_text(body, &s);
    json_deinit(&doc);
    size_t n = strlen(f->message);
    if (s.message[0]) snprintf(f->message + n, sizeof(f->message) - n, ": %s", s.message);
    tell(f, &s);
}

static void inside(struct failure *f, const struct said *s) {
    failure_set(f, FAILURE_STREAM, "the upstream sent an error in its answer");
    if (s->message[0]) snprintf(f->message, sizeof(f->message), "%s", s->message);
    int status = s->status ? s->status : status_of_words(s);
    if (status != 0) set_status(f, status);
    tell(f, s);
}

bool err_body_is_said(const struct json_doc *d, uint32_t error) {
    if (error == JSON_NONE) return false;
    switch (json_type(d, error)) {
    case JSON_NULL:
    case JSON_FALSE: return false;
    case JSON_STRING: return !json_str_eq(d, error, SLICE(""));
    case JSON_ARRAY:
    case JSON_OBJECT: return d->nodes[error].count > 0;
    default: return true;
    }
}

/* A code that says that something went wrong.  0, 200, "ok" and the like say that all is well. */
static bool is_bad_code(const struct json_doc *d, uint32_t n) {
    static const char *const good[] = { "", "ok", "success", "succeeded", "completed" };
    char word[24] = "";
    copy_string(d, n, word, sizeof(word));
    bool is_word = word[strspn(word, "0123456789")] != '\0';
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) is_word &= strcasecmp(word, good[i]) != 0;
    return is_word || number_at(d, n) >= 400;
}

static bool has_bad_code(const struct json_doc *d, uint32_t object) {
    static const char *const names[] = { "code", "status", "status_code", "statusCode", "error_code" };
    bool bad = false;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        bad |= is_bad_code(d, json_get(d, object, slice_str(names[i])));
    return bad;
}

/* Is there a member of this name, and not null? */
static bool has(const struct json_doc *d, uint32_t object, const char *name) {
    uint32_t n = json_get(d, object, slice_str(name));
    return n != JSON_NONE && !json_is(d, n, JSON_NULL);
}

/* An error without that word: nothing is answered, something says that it went wrong, and a sentence says why. */
static bool is_flat_error(const struct json_doc *d, uint32_t at) {
    struct said s = { .status = 0 };
    uint32_t inner = json_get(d, at, SLICE("base_resp")), success = json_get(d, at, SLICE("success"));
    if (has(d, at, "choices") || has(d, at, "data")) return false;
    bool bad = has_bad_code(d, at) || has(d, at, "detail") || has(d, at, "errors");
    bad |= json_is(d, success, JSON_FALSE) || (json_is(d, inner, JSON_OBJECT) && has_bad_code(d, inner));
    if (bad) read_value(d, at, &s, 0);
    return s.message[0] != '\0';
}

/* An `error` that says something or stands alone, or "object":"error" as vLLM has it; or a list that begins with such
 * an object, as Google's; or one of those above. */
static bool is_error(const struct json_doc *d) {
    uint32_t at = json_is(d, 0, JSON_ARRAY) ? json_first(d, 0) : 0;
    if (!json_is(d, at, JSON_OBJECT)) return false;
    uint32_t e = json_get(d, at, SLICE("error")), object = json_get(d, at, SLICE("object"));
    bool alone = json_is(d, e, JSON_OBJECT) && json_get(d, at, SLICE("choices")) == JSON_NONE;
    if (err_body_is_said(d, e) || alone) return true;
    if (object != JSON_NONE) return json_is(d, object, JSON_STRING) && json_str_eq(d, object, SLICE("error"));
    return is_flat_error(d, at);
}

bool err_body_inside(struct failure *f, const struct json_doc *doc, bool named) {
    struct said s = { .status = 0 };
    if (!named && !is_error(doc)) return false;
    read_value(doc, 0, &s, 0);
    inside(f, &s);
    return true;
}

void err_body_inside_text(struct failure *f, struct slice text) {
    struct said s = { .status = 0 };
    read_text(text, &s);
    inside(f, &s);
}

bool err_body_names(struct slice body, const char *const *words, unsigned count) {
    struct said s = { .status = 0 };
    struct json_doc d = { .nodes = NULL };
    if (json_parse(&d, body, &(struct json_error){ 0 }) == 0) read_value(&d, 0, &s, 0);
    json_deinit(&d);
    struct slice text = s.param[0] ? slice_str(s.param) : body;
    for (unsigned i = 0; i < count; i++)
        if (memmem(text.ptr, text.len, words[i], strlen(words[i])) != NULL) return true;
    return false;
}

bool err_body_is_openai(struct slice body) {
    struct json_doc d = { .nodes = NULL };
    bool good = json_parse(&d, body, &(struct json_error){ 0 }) == 0 && json_is(&d, 0, JSON_OBJECT);
    uint32_t e = good ? json_get(&d, 0, SLICE("error")) : JSON_NONE;
    good = json_is(&d, e, JSON_OBJECT) && json_is(&d, json_get(&d, e, SLICE("message")), JSON_STRING);
    json_deinit(&d);
    return good;
}

void err_body_write(const struct failure *f, struct buf *out) {
    if (f->status < 500 && err_body_is_openai(buf_get(&f->body))) buf_slice(out, buf_get(&f->body));
    else failure_write_json(out, f);
}
