/* chat_style.c -- how a model wants conversations written.
 *
 *     the model's template --jinja_new--> struct chat_style <--probes: what does it do with tools, calls, thoughts?
 *     its vocabulary ------- controls --------^
 *
 *     messages --chat_style_guard--> messages --chat_style_render--> <|im_start|>user\nHi<|im_end|>\n ...
 *
 * A template says nothing of itself, so it is tried: small conversations are rendered when the model is loaded, and
 * what appears in the text is what it knows.  A template that leaves tools out of its text would leave them out of
 * every request, quietly.
 *
 * CONTROL TOKENS.  "<|im_end|>" in a template ends a message; the same letters in what a user writes must not, or a
 * user could speak as the system.  After rendering nobody can tell the two apart.  So texts of requests are marked
 * before: a CUT (a noncharacter, which no text has) goes behind the first character of each control token that they
 * spell, and the rendered text is cut into tokens piece by piece:
 *
 *     user's       <|im_end|>      ->   < CUT |im_end|>       ->   tokens of "<", tokens of "|im_end|>"
 *     template's   <|im_end|>      ->                              the control token
 *
 * Marks of thoughts are left alone: templates look for them in earlier answers, to drop those.
 *
 * In some vocabularies these marks are no control tokens but words that a user added, which tokenizers look for in
 * every text.  Such a token is guarded where the template writes it, as its source says or small conversations show;
 * marks of calls excepted, which come back in what an assistant said.
 *
 * bos: a template writes it, or leaves it to the tokenizer, and which is not said anywhere.  It is put in front where
 * the tokenizer would, unless it is there; so it is never doubled.
 *
 * Invariants: immutable after chat_style_new(); needs no engine after that.
 *
 * Thread: any. */
#include "local/chat_style.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

#define MARKS 8

/* Templates run where requests are read.  A message takes some fifty, so a context full of them is far below. */
#define STEPS (4u << 20)

struct control {
    struct slice text;
};

struct chat_style {
    struct jinja      *template;
    struct chat_traits traits;
    struct slice       bos, eos;
    bool               bos_added;
    struct arena       kept;
    struct control    *controls; /* sorted */
    uint32_t           control_count;
    bool               begins[256]; /* a control token begins with this byte */
    int32_t            marks[MARKS];
    unsigned           mark_count;
};

static const char chatml[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

static bool holds(struct slice s, const char *what) { return memmem(s.ptr, s.len, what, strlen(what)) != NULL; }

/* -- The vocabulary ----------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b) {
    struct slice x = ((const struct control *)a)->text, y = ((const struct control *)b)->text;
    int c = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    return c != 0 ? c : (x.len > y.len) - (x.len < y.len);
}

static bool is_think_mark(const struct chat_style *f, struct slice s) {
    return s.len > 0 && (slice_eq(s, f->traits.marks.open) || slice_eq(s, f->traits.marks.close));
}

/* The token that this text alone is, or -1. */
static int32_t token_of(const struct perilune_engine *e, const struct perilune_engine_model *m, struct slice text) {
    int32_t tokens[2];
    return e->tokenize(m, text.ptr, text.len, PERILUNE_ENGINE_SPECIAL, tokens, 2) == 1 ? tokens[0] : -1;
}

static void find_marks(struct chat_style *f, const struct perilune_engine *e, const struct perilune_engine_model *m) {
    const char *texts[MARKS];
    unsigned n = call_form_marks(f->traits.shape.form, texts, MARKS - 2);
    if (f->traits.marks.open.len > 0) texts[n++] = f->traits.marks.open.ptr, texts[n++] = f->traits.marks.close.ptr;
    for (unsigned i = 0; i < n; i++) {
        int32_t token = token_of(e, m, slice_str(texts[i]));
        if (token >= 0) f->marks[f->mark_count++] = token;
    }
}

/* The longest control token at the start of s, or 0. */
static size_t control_at(const struct chat_style *f, struct slice s) {
    uint32_t from = 0, to = f->control_count;
    size_t longest = 0;
    for (size_t n = 0; from < to && n < s.len; n++) { /* those that have the first n + 1 bytes in common with s */
        uint32_t low = from, high = to;
        while (low < high) { /* the first whose byte n is not less */
            uint32_t mid = low + (high - low) / 2;
            struct slice c = f->controls[mid].text;
            if (c.len <= n || (unsigned char)c.ptr[n] < (unsigned char)s.ptr[n]) low = mid + 1;
            else high = mid;
        }
        from = low;
        for (high = to; low < high;) { /* the first whose byte n is greater */
            uint32_t mid = low + (high - low) / 2;
            if ((unsigned char)f->controls[mid].text.ptr[n] <= (unsigned char)s.ptr[n]) low = mid + 1;
            else high = mid;
        }
        to = low;
        if (from < to && f->controls[from].text.len == n + 1) longest = n + 1;
    }
    return longest;
}

/* A request has no business with noncharacters: one of ours becomes a cut, and goes with the others.  (Taken out, it
 * would let what stands on both sides become a control token.) */
static bool is_ours(struct slice s) { return s.len >= 3 && memcmp(s.ptr, CHAT_STYLE_HERE, 3) == 0; }

bool chat_style_is_harmless(const struct chat_style *f, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (!f->begins[c] && c != 0xEF) continue;
        struct slice rest = slice_of(text.ptr + i, text.len - i);
        if (is_ours(rest) || control_at(f, rest) > 0) return false;
    }
    return true;
}

void chat_style_guard(const struct chat_style *f, struct slice text, struct buf *out) {
    size_t done = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (!f->begins[c] && c != 0xEF) continue;
        struct slice rest = slice_of(text.ptr + i, text.len - i);
        bool ours = is_ours(rest);
        if (!ours && control_at(f, rest) == 0) continue;
        size_t first = ours ? 0 : c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        buf_put(out, text.ptr + done, i + first - done);
        buf_puts(out, CHAT_STYLE_CUT);
        done = ours ? i + 3 : i + first;
        i = done - 1;
    }
    buf_put(out, text.ptr + done, text.len - done);
}

bool chat_style_is_mark(const struct chat_style *f, int32_t token) {
    for (unsigned i = 0; i < f->mark_count; i++)
        if (f->marks[i] == token) return true;
    return false;
}

/* -- Rendering ------------------------------------------------------------------------------ */

int chat_style_render(const struct chat_style *f, const struct chat_style_input *in, struct buf *out,
                     struct jinja_error *err) {
    static const struct json_node null = { .end = 4, .next = 1, .type = JSON_NULL };
    struct json_doc nothing = { .text = SLICE("null"), .nodes = (struct json_node *)(uintptr_t)&null, .len = 1 };
    bool tools = in->tools != JSON_NONE;
    struct jinja_var vars[6 + CHAT_STYLE_ARGS] = {
        { .name = SLICE("messages"), .type = JINJA_VAR_JSON, .doc = in->doc, .node = in->messages },
        { .name = SLICE("tools"), .type = JINJA_VAR_JSON, .doc = tools ? in->doc : &nothing,
          .node = tools ? in->tools : 0 },
        { .name = SLICE("documents"), .type = JINJA_VAR_JSON, .doc = &nothing, .node = 0 },
        { .name = SLICE("add_generation_prompt"), .type = JINJA_VAR_BOOL, .flag = in->ask },
        { .name = SLICE("bos_token"), .type = JINJA_VAR_TEXT, .text = f->bos },
        { .name = SLICE("eos_token"), .type = JINJA_VAR_TEXT, .text = f->eos },
    };
    for (unsigned i = 0; i < in->arg_count; i++) vars[6 + i] = in->args[i];
    struct jinja_input ji = { .vars = vars, .len = 6 + in->arg_count, .now = in->now, .limits = { .steps = STEPS } };
    struct buf text;
    buf_init(&text, 0);
    int rc = jinja_render(f->template, &ji, &text, err);
    if (rc == 0) {
        struct slice s = buf_get(&text);
        if (f->bos_added && !slice_starts(s, f->bos)) buf_slice(out, f->bos);
        buf_slice(out, s);
        if (buf_failed(out)) rc = PERILUNE_ERR_NOMEM;
    }
    buf_deinit(&text);
    return rc;
}

/* -- Probes ------------------------------------------------------------------------------------ */

#define USER "{\"role\":\"user\",\"content\":\"hi\"}"
#define SYSTEM "{\"role\":\"system\",\"content\":\"hi\"}"
#define ASSISTANT "{\"role\":\"assistant\",\"content\":\"hi\"}"
#define TOOL "{\"type\":\"function\",\"function\":{\"name\":\"needle_tool\",\"description\":\"d\",\"parameters\":" \
             "{\"type\":\"object\",\"properties\":{\"arg\":{\"type\":\"string\",\"description\":\"x\"}}," \
             "\"required\":[\"arg\"]}}}"
#define BARE_TOOL "{\"type\":\"function\",\"function\":{\"name\":\"needle_tool\"}}"

/* The text of {"messages":[...],"tools":[...]}; false: it cannot be written. */
static bool probe(const struct chat_style *f, const char *json, struct buf *out) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error wrong;
    struct jinja_error err;
    buf_clear(out);
    bool ok = json_parse(&doc, slice_str(json), &wrong) == 0;
    if (ok) {
        struct chat_style_input in = { .doc = &doc, .ask = true, .messages = json_get(&doc, 0, SLICE("messages")),
                                      .tools = json_get(&doc, 0, SLICE("tools")) };
        ok = chat_style_render(f, &in, out, &err) == 0;
    }
    json_deinit(&doc);
    return ok;
}

static bool knows_tools(const struct chat_style *f, const char *tool, struct buf *text) {
    char json[600];
    snprintf(json, sizeof(json), "{\"messages\":[" USER "],\"tools\":[%s]}", tool);
    return probe(f, json, text) && holds(buf_get(text), "needle_tool");
}

/* A call that was made, with these arguments and this content beside it. */
static bool writes_call(const struct chat_style *f, const char *arguments, const char *content, struct buf *text) {
    char json[1024];
    snprintf(json, sizeof(json),
             "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":%s,\"tool_calls\":[{\"id\":\"needle123\","
             "\"type\":\"function\",\"function\":{\"name\":\"needle_tool\",\"arguments\":%s}}]},{\"role\":\"tool\","
             "\"tool_call_id\":\"needle123\",\"name\":\"needle_tool\",\"content\":\"needle_result\"}],"
             "\"tools\":[" TOOL "]}",
             content, arguments);
    return probe(f, json, text) && holds(buf_get(text), "needle_value") && holds(buf_get(text), "needle_result");
}

static const char *const call_arguments[] = { /* as an object, and as JSON text */
    "{\"arg\":\"needle_value\"}", "\"{\\\"arg\\\": \\\"needle_value\\\"}\"" };

static void probe_calls(struct chat_style *f, struct buf *text) {
    static const char *const contents[] = { "\"\"", "null" };
    for (unsigned i = 0; i < 2 && !f->traits.calls; i++) {
        /* An object that was printed, not written as JSON, has Python's quotes. */
        bool as_object = writes_call(f, call_arguments[0], contents[i], text) && !holds(buf_get(text), "'arg'");
        bool as_text = !as_object && writes_call(f, call_arguments[1], contents[i], text) &&
                       holds(buf_get(text), "{\"arg\": \"needle_value\"}");
        f->traits.calls = as_object || as_text;
        f->traits.arguments_as_text = as_text;
        f->traits.calls_with_null = f->traits.calls && i == 1;
    }
}

static struct think_marks marks_of(struct slice t, const struct perilune_engine *e,
                                   const struct perilune_engine_model *m) {
    static const struct think_marks known[] = {
        { { "<think>", 7 }, { "</think>", 8 } },
        { { "[THINK]", 7 }, { "[/THINK]", 8 } },
        { { "<seed:think>", 12 }, { "</seed:think>", 13 } },
    };
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (holds(t, known[i].close.ptr) || token_of(e, m, known[i].close) >= 0) return known[i];
    return (struct think_marks){ SLICE(""), SLICE("") };
}

static void probe_all(struct chat_style *f, struct slice template) {
    struct chat_traits *t = &f->traits;
    struct buf text;
    buf_init(&text, 0);
    t->tools = knows_tools(f, TOOL, &text);
    t->describes = t->tools && !knows_tools(f, BARE_TOOL, &text);
    probe_calls(f, &text);
    buf_deinit(&text);
    t->developer = holds(template, "developer");
    static const struct slice switches[] = { { "enable_thinking", 15 }, { "thinking", 8 } };
    for (unsigned i = 0; i < 2 && t->think_switch.len == 0 && t->marks.close.len > 0; i++)
        if (jinja_mentions(f->template, switches[i])) t->think_switch = switches[i];
    t->effort = jinja_mentions(f->template, SLICE("reasoning_effort"));
    t->thinking = holds(template, ".thinking") && !holds(template, "reasoning_content");
}

/* -- Control tokens --------------------------------------------------------------------------- */

/* A single character is no more than itself. */
static int add_control(struct chat_style *f, uint32_t *cap, struct slice text) {
    if (text.len < 2 || is_think_mark(f, text)) return 0;
    if (f->control_count == *cap && !mem_grow((void **)&f->controls, f->control_count, cap, sizeof(*f->controls)))
        return PERILUNE_ERR_NOMEM;
    char *kept = arena_alloc(&f->kept, text.len);
    if (kept == NULL) return PERILUNE_ERR_NOMEM;
    memcpy(kept, text.ptr, text.len);
    f->controls[f->control_count++].text = slice_of(kept, text.len);
    f->begins[(unsigned char)kept[0]] = true;
    return 0;
}

/* Marks of channels are no such: they part all messages from each other. */
static bool is_call_mark(const struct chat_style *f, struct slice s) {
    const char *texts[MARKS];
    if (f->traits.shape.form == CALLS_HARMONY) return false;
    unsigned n = call_form_marks(f->traits.shape.form, texts, MARKS);
    for (unsigned i = 0; i < n; i++)
        if (slice_eq(s, slice_str(texts[i]))) return true;
    return false;
}

/* <...> or [...], of letters or bars inside. */
static bool has_shape_of_mark(struct slice s) {
    if (s.len < 3 || (*s.ptr != '<' && *s.ptr != '[') || s.ptr[s.len - 1] != (*s.ptr == '<' ? '>' : ']')) return false;
    unsigned char c = (unsigned char)s.ptr[1];
    return c >= 0x80 || c == '/' || c == '|' || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Is this a mark that the template writes?  Brackets of Jinja's look like marks: [...] counts where it was rendered. */
static bool is_written(const struct chat_style *f, struct slice s, struct slice source, struct slice rendered) {
    if (!has_shape_of_mark(s) || is_call_mark(f, s)) return false;
    if (slice_eq(s, f->bos) || slice_eq(s, f->eos)) return true;
    return (*s.ptr == '<' && memmem(source.ptr, source.len, s.ptr, s.len) != NULL) ||
           (rendered.len > 0 && memmem(rendered.ptr, rendered.len, s.ptr, s.len) != NULL);
}

/* Conversations in which each role has its say, as the template writes them. */
static void render_roles(const struct chat_style *f, struct buf *out) {
    static const char *const conversations[] = {
        "{\"messages\":[" SYSTEM "," USER "," ASSISTANT "," USER "]}",
        "{\"messages\":[" USER "," ASSISTANT "," USER "]}",
        "{\"messages\":[" USER "],\"tools\":[" TOOL "]}",
    };
    struct buf text;
    buf_init(&text, 0);
    for (unsigned i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++)
        if (probe(f, conversations[i], &text)) buf_slice(out, buf_get(&text)), buf_putc(out, '\n');
    for (unsigned i = 0; i < 2; i++)
        if (writes_call(f, call_arguments[i], "\"\"", &text)) buf_slice(out, buf_get(&text)), buf_putc(out, '\n');
    if (buf_failed(&text)) out->error = text.error;
    buf_deinit(&text);
}

/* A control token has a text only when it is asked for as one.  Some vocabularies hold marks as tokens that a user
 * added, which have a text like all others and are found in every text: of those the ones that the template writes. */
static int find_controls(struct chat_style *f, const struct perilune_engine *e, const struct perilune_engine_model *m,
                         struct slice source) {
    const struct perilune_engine_facts *facts = e->facts(m);
    char *room = mem_alloc(facts->longest);
    uint32_t cap = 0;
    struct buf rendered;
    buf_init(&rendered, 0);
    render_roles(f, &rendered);
    int rc = room && !buf_failed(&rendered) ? 0 : PERILUNE_ERR_NOMEM;
    for (uint32_t t = 0; rc == 0 && t < facts->vocab; t++) {
        size_t n = e->piece(m, (int32_t)t, 0, room, facts->longest);
        if (n > 0 && (n > facts->longest || !is_written(f, slice_of(room, n), source, buf_get(&rendered)))) continue;
        if (n == 0) n = e->piece(m, (int32_t)t, PERILUNE_ENGINE_SPECIAL, room, facts->longest);
        rc = add_control(f, &cap, slice_of(room, n));
    }
    mem_free(room);
    buf_deinit(&rendered);
    if (f->control_count > 1) qsort(f->controls, f->control_count, sizeof(*f->controls), by_bytes);
    return rc;
}

/* -- Life --------------------------------------------------------------------------------------- */

void chat_style_free(struct chat_style *f) {
    if (f == NULL) return;
    jinja_free(f->template);
    arena_deinit(&f->kept);
    mem_free(f->controls);
    mem_free(f);
}

static struct slice keep(struct chat_style *f, const char *text, int *rc) {
    size_t len = strlen(text);
    char *to = arena_alloc(&f->kept, len + 1);
    if (to == NULL) {
        *rc = PERILUNE_ERR_NOMEM;
        return SLICE("");
    }
    memcpy(to, text, len);
    return slice_of(to, len);
}

/* Would the tokenizer put bos in front? */
static bool adds_bos(const struct chat_style *f, const struct perilune_engine *e,
                     const struct perilune_engine_model *m) {
    int32_t tokens[8];
    char piece[64];
    if (f->bos.len == 0 || f->bos.len > sizeof(piece)) return false;
    int64_t n = e->tokenize(m, "a", 1, PERILUNE_ENGINE_BEGIN, tokens, 8);
    if (n < 1 || n > 8) return false;
    size_t len = e->piece(m, tokens[0], PERILUNE_ENGINE_SPECIAL, piece, sizeof(piece));
    return slice_eq(slice_of(piece, len), f->bos);
}

const struct chat_traits *chat_style_traits(const struct chat_style *f) { return &f->traits; }

int chat_style_new(struct chat_style **out, const struct perilune_engine *e, const struct perilune_engine_model *m,
                  struct slice text, char *why, size_t why_size) {
    struct jinja_error err;
    struct chat_style *f = mem_zalloc(sizeof(*f));
    int rc = f ? 0 : PERILUNE_ERR_NOMEM;
    *out = NULL;
    snprintf(why, why_size, "out of memory");
    if (f == NULL) return rc;
    arena_init(&f->kept);
    const struct perilune_engine_facts *facts = e->facts(m);
    f->bos = keep(f, facts->bos, &rc);
    f->eos = keep(f, facts->eos, &rc);
    f->traits.built_in = text.len == 0;
    if (text.len == 0) text = slice_str(chatml);
    if (rc == 0) {
        rc = jinja_new(&f->template, text, &err);
        if (rc == PERILUNE_ERR_INVAL) snprintf(why, why_size, "line %u: %s", err.line, err.message);
    }
    if (rc == 0) {
        f->traits.shape = call_shape_of(text);
        f->traits.marks = marks_of(text, e, m);
        f->bos_added = adds_bos(f, e, m);
        rc = find_controls(f, e, m, text);
        find_marks(f, e, m);
    }
    if (rc == 0) probe_all(f, text);
    if (rc == 0) *out = f;
    else chat_style_free(f);
    return rc;
}

/* A template is small; what is longer is none. */
static int read_file(const char *path, struct buf *out, char *why, size_t why_size) {
    FILE *from = fopen(path, "rb");
    char *room = from ? buf_reserve(out, JINJA_MAX_TEXT + 1) : NULL;
    size_t n = room ? fread(room, 1, JINJA_MAX_TEXT + 1, from) : 0;
    bool good = room != NULL && !ferror(from) && n > 0 && n <= JINJA_MAX_TEXT;
    if (good) buf_advance(out, n);
    else snprintf(why, why_size, from == NULL ? "cannot be opened" : "is no chat template: 1 byte to 1 MiB of text");
    if (from != NULL) fclose(from);
    return good ? 0 : PERILUNE_ERR_ENGINE;
}

int chat_style_load(struct chat_style **out, const struct perilune_engine *e, const struct perilune_engine_model *m,
                   const char *path, char *why, size_t why_size) {
    const char *own = e->facts(m)->chat_template;
    struct buf text;
    *out = NULL;
    buf_init(&text, 0);
    int rc = 0;
    if (path != NULL) rc = read_file(path, &text, why, why_size);
    else if (own != NULL) buf_puts(&text, own);
    if (rc == 0 && buf_failed(&text)) rc = PERILUNE_ERR_NOMEM;
    if (rc == 0) rc = chat_style_new(out, e, m, buf_get(&text), why, why_size);
    buf_deinit(&text);
    return rc;
}
