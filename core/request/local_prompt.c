/* local_prompt.c -- from the messages of a request to the text that a model reads.
 *
 *     body --put_...--> { messages, tools, args } --chat_style_render--> text --cut--> pieces --> tokens
 *                         as templates expect them
 *
 * Templates are written for Python programs that build conversations by hand, so what clients of OpenAI's interface
 * send is brought into that shape first: parts become one string, null content is "" (or null, where the template
 * wants that beside calls), arguments of calls are objects (or text, likewise), members that are null are left out,
 * "developer" is "system" where the template knows no developers.  Which of two is found out when the model is loaded
 * (chat_style.c).
 *
 * Every string of a request is guarded: control tokens that it spells stay letters.
 *
 * A LAST MESSAGE OF THE ASSISTANT is the beginning of the answer, of which the rest is asked for; it ends in a mark,
 * and the text ends where the mark came out.
 *
 * What it does not do: images, sounds and files are refused, and so are calls that the template would leave out. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/clock.h"
#include "request/local_ask.h"

/* Variables that say what other members of a request say. */
static const char *const reserved[] = { "messages", "tools", "documents", "add_generation_prompt", "bos_token",
                                        "eos_token", NULL };

struct writing {
    struct asking *in;
    struct buf    *out;
    struct buf     word;    /* a string, decoded */
    bool           prefill; /* the last message goes on */
    bool           inside;  /* with a thought that is not over */
    struct slice   begun;   /* of prefill: what was said */
    unsigned       at;      /* which message */
    size_t         bytes;   /* of texts so far */
};

/* -- Values ----------------------------------------------------------------------------------- */

static const struct chat_style *style_of(const struct writing *w) { return resident_style(w->in->r); }

static void put_guarded(struct writing *w, struct slice text) {
    struct buf guarded;
    if (chat_style_is_harmless(style_of(w), text)) {
        json_write_string(w->out, text);
        return;
    }
    buf_init(&guarded, 0);
    chat_style_guard(style_of(w), text, &guarded);
    json_write_string(w->out, buf_get(&guarded));
    if (buf_failed(&guarded)) w->out->error = guarded.error;
    buf_deinit(&guarded);
}

static struct slice decode(struct writing *w, const struct json_doc *doc, uint32_t n) {
    buf_clear(&w->word);
    json_decode_string(doc, n, &w->word);
    if (buf_failed(&w->word)) w->out->error = w->word.error;
    return buf_get(&w->word);
}

/* As it came, but for strings.  Depth is bounded by the reader of JSON. */
static void put_value(struct writing *w, const struct json_doc *doc, uint32_t n) {
    enum json_type type = json_type(doc, n);
    if (type == JSON_STRING) {
        put_guarded(w, decode(w, doc, n));
    } else if (type == JSON_ARRAY || type == JSON_OBJECT) {
        bool first = true, key = true;
        buf_putc(w->out, type == JSON_ARRAY ? '[' : '{');
        for (uint32_t k = json_first(doc, n); k != JSON_NONE; k = json_next(doc, n, k), key = !key) {
            bool value = type == JSON_OBJECT && !key;
            if (!first) buf_putc(w->out, value ? ':' : ',');
            first = false;
            put_value(w, doc, k);
        }
        buf_putc(w->out, type == JSON_ARRAY ? ']' : '}');
    } else {
        buf_slice(w->out, json_raw(doc, n));
    }
}

/* -- Bounds ------------------------------------------------------------------------------------ */

/* Templates are run where requests are read, so what cannot fit is refused before: a message has a token at least, and
 * a text as many as the longest ones need.  (Four times that: a template may leave out earlier thoughts.) */
static int check_size(struct writing *w, unsigned messages) {
    const struct perilune_engine_facts *f = resident_facts(w->in->r);
    if (messages <= f->row && w->bytes / f->longest / 4 <= f->row) return 0;
    local_refuse(w->in, "messages", "are %u, with %zu bytes of text so far, and this model's context has room for %u "
                 "tokens", messages, w->bytes, f->row);
    snprintf(w->in->f->code, sizeof(w->in->f->code), "context_length_exceeded");
    return PERILUNE_ERR_INVAL;
}

/* -- A message ---------------------------------------------------------------------------------- */

static int check_parts(struct writing *w, uint32_t content) {
    const struct json_doc *doc = w->in->doc;
    uint32_t p = json_is(doc, content, JSON_ARRAY) ? json_first(doc, content) : JSON_NONE;
    for (; p != JSON_NONE; p = json_next(doc, content, p)) {
        uint32_t type = json_is(doc, p, JSON_OBJECT) ? json_get(doc, p, SLICE("type")) : JSON_NONE;
        if (!local_is_word(doc, type, "text"))
            return local_refuse(w->in, "messages", "have a part that is no text (message %u, counted from 0); this "
                                "local model reads nothing else", w->at);
    }
    return 0;
}

static int put_content(struct writing *w, uint32_t content, bool calls, bool last) {
    const struct json_doc *doc = w->in->doc;
    if (check_parts(w, content) != 0) return PERILUNE_ERR_INVAL;
    buf_puts(w->out, "\"content\":");
    bool none = content == JSON_NONE || json_is(doc, content, JSON_NULL);
    if (none && calls && w->in->traits->calls_with_null) {
        buf_puts(w->out, "null");
        return 0;
    }
    buf_clear(&w->word);
    if (!none) chat_content_text(doc, content, &w->word);
    struct slice text = buf_get(&w->word);
    if (buf_failed(&w->word)) return local_no_memory(w->in);
    w->bytes += text.len;
    put_guarded(w, text);
    if (!last || !w->prefill) return 0;
    w->out->len--; /* the quote */
    buf_puts(w->out, CHAT_STYLE_HERE "\"");
    struct think_marks m = w->in->traits->marks;
    const char *open = m.open.len ? memmem(text.ptr, text.len, m.open.ptr, m.open.len) : NULL;
    w->inside = open != NULL && memmem(open, (size_t)(text.ptr + text.len - open), m.close.ptr, m.close.len) == NULL;
    return 0;
}

/* As an object, or as text, whichever the template wants. */
static int put_arguments(struct writing *w, uint32_t arguments) {
    const struct json_doc *doc = w->in->doc;
    struct json_doc inner = { .nodes = NULL };
    struct json_error err;
    bool as_text = w->in->traits->arguments_as_text;
    struct buf text;
    int rc = 0;
    if (!json_is(doc, arguments, JSON_STRING)) { /* not as OpenAI writes them, but as templates think of them */
        if (!json_is(doc, arguments, JSON_OBJECT))
            return local_refuse(w->in, "messages", "have a call whose arguments are neither text nor an object "
                                "(message %u)", w->at);
        if (as_text) put_guarded(w, json_raw(doc, arguments));
        else put_value(w, doc, arguments);
        return 0;
    }
    buf_init(&text, 0);
    json_decode_string(doc, arguments, &text);
    struct slice s = buf_len(&text) > 0 ? buf_get(&text) : SLICE("{}");
    rc = json_parse(&inner, s, &err);
    if (buf_failed(&text) || rc == PERILUNE_ERR_NOMEM) rc = local_no_memory(w->in);
    else if (rc != 0 || !json_is(&inner, 0, JSON_OBJECT))
        rc = local_refuse(w->in, "messages", "have a call whose arguments are no JSON object (message %u)", w->at);
    else if (as_text) put_guarded(w, s);
    else put_value(w, &inner, 0);
    json_deinit(&inner);
    buf_deinit(&text);
    return rc;
}

static int put_call(struct writing *w, uint32_t call) {
    const struct json_doc *doc = w->in->doc;
    uint32_t f = json_is(doc, call, JSON_OBJECT) ? json_get(doc, call, SLICE("function")) : JSON_NONE;
    uint32_t name = json_is(doc, f, JSON_OBJECT) ? json_get(doc, f, SLICE("name")) : JSON_NONE, id;
    if (!json_is(doc, name, JSON_STRING))
        return local_refuse(w->in, "messages", "have a call of something that is no function (message %u)", w->at);
    buf_puts(w->out, "{\"type\":\"function\",");
    id = json_get(doc, call, SLICE("id"));
    if (json_is(doc, id, JSON_STRING)) {
        buf_puts(w->out, "\"id\":");
        put_guarded(w, decode(w, doc, id));
        buf_putc(w->out, ',');
    }
    buf_puts(w->out, "\"function\":{\"name\":");
    put_guarded(w, decode(w, doc, name));
    buf_puts(w->out, ",\"arguments\":");
    uint32_t arguments = json_get(doc, f, SLICE("arguments"));
    int rc = 0;
    if (arguments == JSON_NONE || json_is(doc, arguments, JSON_NULL))
        buf_puts(w->out, w->in->traits->arguments_as_text ? "\"{}\"" : "{}");
    else rc = put_arguments(w, arguments);
    buf_puts(w->out, "}}");
    return rc;
}

static int put_calls(struct writing *w, uint32_t calls) {
    const struct json_doc *doc = w->in->doc;
    if (!json_is(doc, calls, JSON_ARRAY)) return local_refuse(w->in, "messages", "have tool_calls that are no array "
                                                              "(message %u)", w->at);
    buf_puts(w->out, ",\"tool_calls\":[");
    for (uint32_t c = json_first(doc, calls); c != JSON_NONE; c = json_next(doc, calls, c)) {
        if (c != json_first(doc, calls)) buf_putc(w->out, ',');
        int rc = put_call(w, c);
        if (rc != 0) return rc;
    }
    buf_putc(w->out, ']');
    return 0;
}

static bool is_written(const struct json_doc *doc, uint32_t key, uint32_t value) {
    return json_is(doc, value, JSON_NULL) || json_str_eq(doc, key, SLICE("role")) ||
           json_str_eq(doc, key, SLICE("content")) || json_str_eq(doc, key, SLICE("tool_calls"));
}

/* Earlier thoughts, under the name by which the template asks for them.  gpt-oss's takes no thought beside a text that
 * goes with calls: it has one place for both. */
static void put_thoughts(struct writing *w, uint32_t m, bool called) {
    static const char *const names[] = { "reasoning_content", "reasoning", "thinking" };
    const struct json_doc *doc = w->in->doc;
    uint32_t said = json_get(doc, m, SLICE("content"));
    bool text = json_is(doc, said, JSON_STRING) ? json_raw(doc, said).len > 2 : json_is(doc, said, JSON_ARRAY);
    if (called && text) return;
    for (unsigned i = 0; i < 3; i++) {
        uint32_t n = json_get(doc, m, slice_str(names[i]));
        if (!json_is(doc, n, JSON_STRING)) continue;
        buf_puts(w->out, ",\"thinking\":");
        put_value(w, doc, n);
        return;
    }
}

static bool is_thoughts(const struct json_doc *doc, uint32_t key) {
    return json_str_eq(doc, key, SLICE("reasoning_content")) || json_str_eq(doc, key, SLICE("reasoning")) ||
           json_str_eq(doc, key, SLICE("thinking"));
}

static int put_message(struct writing *w, uint32_t m, bool last) {
    const struct json_doc *doc = w->in->doc;
    uint32_t role = json_get(doc, m, SLICE("role")), calls = json_get(doc, m, SLICE("tool_calls"));
    bool called = calls != JSON_NONE && !json_is(doc, calls, JSON_NULL) &&
                  !(json_is(doc, calls, JSON_ARRAY) && doc->nodes[calls].count == 0);
    if ((called || json_str_eq(doc, role, SLICE("tool"))) && !w->in->traits->calls)
        return local_refuse(w->in, "messages", "have calls of tools (message %u), which this local model's chat "
                            "template would leave out", w->at);
    buf_puts(w->out, "{\"role\":");
    if (!w->in->traits->developer && json_str_eq(doc, role, SLICE("developer"))) buf_puts(w->out, "\"system\"");
    else put_guarded(w, decode(w, doc, role));
    buf_putc(w->out, ',');
    int rc = put_content(w, json_get(doc, m, SLICE("content")), called, last);
    for (uint32_t k = json_first(doc, m), v; rc == 0 && k != JSON_NONE; k = json_next(doc, m, v)) {
        v = json_next(doc, m, k);
        if (is_written(doc, k, v) || (w->in->traits->thinking && is_thoughts(doc, k))) continue;
        buf_putc(w->out, ',');
        put_value(w, doc, k);
        buf_putc(w->out, ':');
        put_value(w, doc, v);
    }
    if (rc == 0 && w->in->traits->thinking) put_thoughts(w, m, called);
    if (rc == 0 && called) rc = put_calls(w, calls);
    buf_putc(w->out, '}');
    return rc;
}

/* -- All of them ------------------------------------------------------------------------------------ */

/* Is the last message the beginning of the answer? */
static int look_at_last(struct writing *w, uint32_t messages) {
    const struct json_doc *doc = w->in->doc;
    uint32_t last = JSON_NONE, asked = local_member(w->in, "continue_final_message");
    for (uint32_t m = json_first(doc, messages); m != JSON_NONE; m = json_next(doc, messages, m)) last = m;
    uint32_t content = json_get(doc, last, SLICE("content")), calls = json_get(doc, last, SLICE("tool_calls"));
    bool says = json_is(doc, content, JSON_STRING) ? json_raw(doc, content).len > 2
                                                   : json_is(doc, content, JSON_ARRAY) && doc->nodes[content].count > 0;
    bool called = json_is(doc, calls, JSON_ARRAY) && doc->nodes[calls].count > 0;
    bool suits = says && !called && json_str_eq(doc, json_get(doc, last, SLICE("role")), SLICE("assistant"));
    if (json_is(doc, asked, JSON_TRUE) && !suits)
        return local_refuse(w->in, "continue_final_message", "needs a last message of the assistant that says "
                            "something");
    w->prefill = suits && !json_is(doc, asked, JSON_FALSE);
    if (w->prefill && (w->in->shape.calls_only || w->in->shape.object || w->in->shape.schema != JSON_NONE))
        return local_refuse(w->in, "messages", "end with an answer that is begun; the form of the rest cannot be "
                            "told by response_format or tool_choice");
    return 0;
}

static int put_args(struct writing *w, uint32_t args) {
    const struct json_doc *doc = w->in->doc;
    buf_puts(w->out, ",\"args\":");
    if (args == JSON_NONE) {
        buf_puts(w->out, "{}");
        return 0;
    }
    if (!json_is(doc, args, JSON_OBJECT) || doc->nodes[args].count > CHAT_STYLE_ARGS - 2)
        return local_refuse(w->in, "chat_template_kwargs", "must be an object of %d members at most",
                            CHAT_STYLE_ARGS - 2);
    for (uint32_t k = json_first(doc, args); k != JSON_NONE; k = json_next(doc, args, json_next(doc, args, k)))
        for (unsigned i = 0; reserved[i]; i++)
            if (json_str_eq(doc, k, slice_str(reserved[i])))
                return local_refuse(w->in, "chat_template_kwargs", "must not have %s: the request has it", reserved[i]);
    put_value(w, doc, args);
    return 0;
}

static void put_member(struct writing *w, const char *name, uint32_t value) {
    buf_printf(w->out, "\"%s\":", name);
    put_value(w, w->in->doc, value);
}

/* Each is {type: function, function: {}}, or would have been refused. */
static void put_tools(struct writing *w, uint32_t tools) {
    const struct json_doc *doc = w->in->doc;
    buf_putc(w->out, ',');
    if (!w->in->traits->describes) {
        put_member(w, "tools", tools);
        return;
    }
    buf_puts(w->out, "\"tools\":[");
    for (uint32_t t = json_first(doc, tools); t != JSON_NONE; t = json_next(doc, tools, t)) {
        uint32_t f = json_get(doc, t, SLICE("function")), about = json_get(doc, f, SLICE("description"));
        if (t != json_first(doc, tools)) buf_putc(w->out, ',');
        buf_puts(w->out, "{\"type\":\"function\",\"function\":{");
        for (uint32_t k = json_first(doc, f), v; k != JSON_NONE; k = json_next(doc, f, v)) {
            v = json_next(doc, f, k);
            if (json_is(doc, v, JSON_NULL) || json_str_eq(doc, k, SLICE("description"))) continue;
            put_value(w, doc, k);
            buf_putc(w->out, ':');
            put_value(w, doc, v);
            buf_putc(w->out, ',');
        }
        if (json_is(doc, about, JSON_STRING)) put_member(w, "description", about);
        else buf_puts(w->out, "\"description\":\"\"");
        buf_puts(w->out, "}}");
    }
    buf_putc(w->out, ']');
}

static int put_all(struct writing *w, const struct chat *chat) {
    const struct json_doc *doc = w->in->doc;
    unsigned count = doc->nodes[chat->messages].count;
    int rc = look_at_last(w, chat->messages);
    if (rc == 0) rc = check_size(w, count);
    buf_puts(w->out, "{\"messages\":[");
    uint32_t next;
    for (uint32_t m = json_first(doc, chat->messages); rc == 0 && m != JSON_NONE; m = next, w->at++) {
        next = json_next(doc, chat->messages, m);
        if (w->at > 0) buf_putc(w->out, ',');
        rc = put_message(w, m, next == JSON_NONE);
        if (rc == 0) rc = check_size(w, count);
    }
    buf_putc(w->out, ']');
    if (rc == 0 && w->in->offers) put_tools(w, local_member(w->in, "tools"));
    if (rc == 0) rc = put_args(w, local_member(w->in, "chat_template_kwargs"));
    buf_putc(w->out, '}');
    return rc == 0 && buf_failed(w->out) ? local_no_memory(w->in) : rc;
}

/* -- The text ------------------------------------------------------------------------------------------ */

static int render_failed(struct asking *in, int rc, const struct jinja_error *err) {
    if (rc == PERILUNE_ERR_NOMEM) return local_no_memory(in);
    if (err->raised)
        return local_refuse(in, "messages", "are refused by this local model's chat template: %s", err->message);
    return local_refuse(in, "messages", "cannot be written as this local model's chat template wants them: line %u: %s",
                        err->line, err->message);
}

/* Whether it thinks, from what is said first of: the request's kwargs, its reasoning_effort, the configuration. */
static unsigned add_switches(struct asking *in, const struct json_doc *doc, uint32_t args, struct jinja_var *to,
                             unsigned n) {
    uint32_t effort = local_member(in, "reasoning_effort");
    bool said = json_is(in->doc, effort, JSON_STRING), none = said && local_is_word(in->doc, effort, "none");
    struct slice name = in->traits->think_switch;
    if (name.len > 0 && json_get(doc, args, name) == JSON_NONE &&
        (said || in->target->thinks != TARGET_THINKS_AS_IT_LIKES))
        to[n++] = (struct jinja_var){ .name = name, .type = JINJA_VAR_BOOL,
                                      .flag = said ? !none : in->target->thinks == TARGET_THINKS };
    if (in->traits->effort && said && !none && json_get(doc, args, SLICE("reasoning_effort")) == JSON_NONE)
        to[n++] = (struct jinja_var){ .name = SLICE("reasoning_effort"), .type = JINJA_VAR_JSON, .doc = in->doc,
                                      .node = effort };
    return n;
}

static int render(struct writing *w, const struct json_doc *doc) {
    struct asking *in = w->in;
    struct jinja_var vars[CHAT_STYLE_ARGS];
    struct slice names[CHAT_STYLE_ARGS];
    struct jinja_error err;
    uint32_t args = json_get(doc, 0, SLICE("args")), ask = local_member(in, "add_generation_prompt");
    unsigned n = 0;
    buf_clear(&w->word);
    for (uint32_t k = json_first(doc, args), v; k != JSON_NONE; k = json_next(doc, args, v)) {
        v = json_next(doc, args, k);
        names[n] = doc->nodes[k].escaped ? SLICE("") : json_plain(doc, k);
        vars[n] = (struct jinja_var){ .name = names[n], .type = JINJA_VAR_JSON, .doc = doc, .node = v };
        n++;
    }
    n = add_switches(in, doc, args, vars, n);
    struct chat_style_input ci = { .doc = doc, .messages = json_get(doc, 0, SLICE("messages")),
                                  .tools = json_get(doc, 0, SLICE("tools")), .now = (int64_t)clock_wall_s(),
                                  .ask = !w->prefill && !json_is(in->doc, ask, JSON_FALSE), .args = vars,
                                  .arg_count = n };
    int rc = chat_style_render(style_of(w), &ci, &in->q->text, &err);
    return rc == 0 ? 0 : render_failed(in, rc, &err);
}

/* Pieces between cuts.  More than a context has room for: the rest is one, and too long in any case. */
static int cut(struct asking *in) {
    struct local_question *q = in->q;
    struct slice s = buf_get(&q->text);
    unsigned most = resident_facts(in->r)->row + 2, count = 1, n = 0;
    const size_t mark = sizeof(CHAT_STYLE_CUT) - 1;
    for (const char *p = s.ptr; (p = memmem(p, (size_t)(s.ptr + s.len - p), CHAT_STYLE_CUT, mark)) != NULL; p += mark)
        count++;
    if (count > most) count = most;
    q->texts = mem_alloc(count * sizeof(*q->texts));
    if (q->texts == NULL) return local_no_memory(in);
    while (s.len > 0) {
        const char *at = n + 1 < count ? memmem(s.ptr, s.len, CHAT_STYLE_CUT, mark) : NULL;
        size_t len = at ? (size_t)(at - s.ptr) : s.len, skip = at ? mark : 0;
        if (len > 0) q->texts[n++] = slice_of(s.ptr, len);
        s = slice_of(s.ptr + len + skip, s.len - len - skip);
    }
    q->ask.texts = q->texts;
    q->ask.text_count = n;
    return n > 0 ? 0 : local_refuse(in, "messages", "become an empty text by this local model's chat template");
}

static bool ends_with(struct slice s, struct slice mark) {
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\n')) s.len--;
    return mark.len > 0 && s.len >= mark.len && memcmp(s.ptr + s.len - mark.len, mark.ptr, mark.len) == 0;
}

/* Where the answer goes on, and whether in a thought. */
static int end_text(struct writing *w) {
    struct local_question *q = w->in->q;
    struct slice s = buf_get(&q->text);
    struct think_marks marks = w->in->traits->marks;
    struct voice_reading *reading = &q->ask.reading;
    reading->marks = marks;
    if (w->prefill) {
        const char *here = memmem(s.ptr, s.len, CHAT_STYLE_HERE, sizeof(CHAT_STYLE_HERE) - 1);
        if (here == NULL) return local_refuse(w->in, "messages", "end with an answer that is begun, which this local "
                                              "model's chat template leaves out");
        q->text.len = q->text.mark + (size_t)(here - s.ptr);
        reading->inside = w->inside;
        reading->goes_on = reading->channels;
        if (!w->inside) reading->marks = (struct think_marks){ SLICE(""), SLICE("") };
        return 0;
    }
    bool may = reading->channels || (marks.open.len > 0 && !ends_with(s, marks.close));
    reading->inside = ends_with(s, marks.open);
    w->in->shape.thinks = reading->inside ? ANSWER_IS_THINKING : may ? ANSWER_MAY_THINK : ANSWER_THINKS_NOT;
    w->in->shape.marks = marks;
    return 0;
}

int local_read_prompt(struct asking *in, const struct chat *chat) {
    struct buf json;
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct writing w = { .in = in, .out = &json };
    buf_init(&json, 0);
    buf_init(&w.word, 0);
    int rc = put_all(&w, chat);
    if (rc == 0) {
        rc = json_parse(&doc, buf_get(&json), &err);
        if (rc == PERILUNE_ERR_NOMEM) rc = local_no_memory(in);
        else if (rc != 0) rc = local_refuse(in, "messages", "are nested too deep");
    }
    if (rc == 0) rc = render(&w, &doc);
    if (rc == 0) rc = end_text(&w);
    if (rc == 0) rc = cut(in);
    json_deinit(&doc);
    buf_deinit(&json);
    buf_deinit(&w.word);
    return rc;
}
