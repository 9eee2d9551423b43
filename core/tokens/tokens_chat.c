/* tokens_chat.c -- how a request becomes one text, and so how many tokens it is.
 *
 *     openai    3 + role + content per message, 1 + name, 3 for the reply
 *     chatml    <|im_start|> role \n content <|im_end|> \n
 *     llama3    <|start_header_id|> role <|end_header_id|> \n\n content <|eot_id|>
 *     deepseek  <|User|> content <|Assistant|> content <|end_of_sentence|>
 *     harmony   <|start|> role <|channel|> .. <|message|> content <|end|>
 *
 * Sources.  openai: OpenAI cookbook, "How to count tokens with tiktoken", sections 6
 * and 7, which its API confirms there (129 for GPT-4, 124 for GPT-4o; 101 with a tool for
 * GPT-4o).  The constants around tools and function calls are not published; those that
 * the community measured stand here (9 for the definitions, 3 for a call, ...), and they
 * give the cookbook's number.  harmony: the format's own guide.  The others: the chat
 * templates in the models' repositories.
 *
 * `exact` means: own vocabulary, published rules.  Tools, images whose size is not known,
 * audio and files make it false.  What is the same in every request (a system prompt
 * that the provider adds) is not counted here: calibration.c finds it out.
 *
 * Everything between two special tokens is put together and counted as one stretch,
 * because tokens do reach across the joint ("\n" and a content that begins with one). */
#include <string.h>

#include "include/perilune.h"
#include "tokens/tokens_int.h"
#include "tokens/tool_text.h"

/* openai, in tokens */
#define PER_MESSAGE       3 /* cookbook, tokens_per_message */
#define PER_NAME          1 /* cookbook, tokens_per_name */
#define REPLY_PRIMER      3 /* cookbook: every reply is primed with <|start|>assistant<|message|> */
#define FUNCTION_ROLE     2 /* less, for role "function"; measured */
#define PER_CALL          3 /* a function_call or tool call in a message; measured */
#define DEFINITIONS       9 /* measured, the cookbook's func_init and func_end for one function */
#define SYSTEM_WITH_TOOLS 4 /* less: the definitions share the system message; measured */
#define FORCED_NAME       4 /* function_call or tool_choice names one; measured */
#define FORCED_NONE       1

#define AUDIO_PER_SECOND 10     /* OpenAI: a token per 100 ms of a user's audio */
#define MP3_BYTES_SECOND 16000  /* 128 kbit/s: a guess, the length is not in the head */
#define FILE_BYTES_TOKEN 40     /* of a PDF, text and pages as pictures: a guess */
#define FILE_UNSEEN      1000   /* a file_id: a guess */

/* What a remembered piece was; the message itself is 0. */
enum kind { K_MESSAGE, K_PADDED, K_TOOLS, K_TOOLS_ALONE, K_FORMAT };

static bool is(const struct json_doc *d, uint32_t n, enum json_type type) {
    return n != JSON_NONE && json_type(d, n) == type;
}

static uint32_t get(const struct tokens_run *r, uint32_t object, const char *key) {
    return is(r->doc, object, JSON_OBJECT) ? json_get(r->doc, object, slice_str(key)) : JSON_NONE;
}

static bool says(const struct tokens_run *r, uint32_t node, const char *text) {
    return is(r->doc, node, JSON_STRING) && json_str_eq(r->doc, node, slice_str(text));
}

static void add_string(struct tokens_run *r, uint32_t node) {
    if (is(r->doc, node, JSON_STRING)) run_string(r, node);
}

static void put_string(struct tokens_run *r, uint32_t node, struct buf *out) {
    if (is(r->doc, node, JSON_STRING)) json_decode_string(r->doc, node, out);
}

/* A string's text, or the JSON of anything else. */
static void put_any(struct tokens_run *r, uint32_t node, struct buf *out) {
    if (node == JSON_NONE) return;
    if (json_type(r->doc, node) == JSON_STRING) json_decode_string(r->doc, node, out);
    else json_spaced(r->doc, node, out);
}

/* -- Parts of a message that are not text ------------------------------------------------ */

static enum image_detail detail_of(const struct tokens_run *r, uint32_t object) {
    uint32_t n = get(r, object, "detail");
    return says(r, n, "low") ? IMAGE_LOW : says(r, n, "high") ? IMAGE_HIGH : says(r, n, "original") ? IMAGE_ORIGINAL
                                                                                                    : IMAGE_AUTO;
}

/* url: a string node; base64 may have escaped slashes, "\/". */
static void add_image(struct tokens_run *r, uint32_t url, bool bare, enum image_detail detail) {
    const struct model *m = &r->ask->model;
    struct image_size size;
    bool seen = false;
    if (!m->image_known) r->exact = false;
    if (is(r->doc, url, JSON_STRING)) {
        struct buf *b = run_begin(r);
        struct slice s = json_plain(r->doc, url);
        if (bare) buf_puts(b, "data:,");
        if (bare || r->doc->nodes[url].escaped) {
            put_string(r, url, b);
            s = buf_get(b);
        }
        if (buf_failed(b)) r->rc = b->error;
        else seen = image_size_of_url(s, &size);
    }
    if (!seen) r->exact = false;
    run_add(r, seen ? image_tokens(m->image, size, detail) : image_tokens_unseen(m->image, detail));
}

static uint32_t little32(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* WAV says its bytes per second at 28; of other formats only the size is known. */
static void add_audio(struct tokens_run *r, uint32_t audio) {
    unsigned char head[44];
    uint32_t data = get(r, audio, "data");
    r->exact = false;
    if (!is(r->doc, data, JSON_STRING)) {
        run_add(r, FILE_UNSEEN);
        return;
    }
    uint64_t bytes = json_raw(r->doc, data).len / 4 * 3;
    size_t n = base64_decode(json_plain(r->doc, data), head, sizeof(head));
    bool wav = n == sizeof(head) && memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WAVE", 4) == 0;
    uint32_t rate = wav ? little32(head + 28) : MP3_BYTES_SECOND;
    if (rate == 0) rate = MP3_BYTES_SECOND;
    run_add(r, (bytes * AUDIO_PER_SECOND + rate - 1) / rate);
}

static void add_file(struct tokens_run *r, uint32_t file) {
    uint32_t data = get(r, file, "file_data");
    r->exact = false;
    add_string(r, get(r, file, "filename"));
    run_add(r, is(r->doc, data, JSON_STRING) ? json_raw(r->doc, data).len / 4 * 3 / FILE_BYTES_TOKEN + 1 : FILE_UNSEEN);
}

/* Anthropic's shape of an image: {"source":{"type":"base64","data":...}}. */
static void add_source(struct tokens_run *r, uint32_t source) {
    uint32_t data = get(r, source, "data");
    add_image(r, data != JSON_NONE ? data : get(r, source, "url"), data != JSON_NONE, IMAGE_AUTO);
}

/* false: it is text, or nothing that is known. */
static bool add_other_part(struct tokens_run *r, uint32_t part) {
    uint32_t image = get(r, part, "image_url"), audio = get(r, part, "input_audio"), file = get(r, part, "file"),
             source = get(r, part, "source");
    if (is(r->doc, image, JSON_OBJECT)) add_image(r, get(r, image, "url"), false, detail_of(r, image));
    else if (is(r->doc, image, JSON_STRING)) add_image(r, image, false, detail_of(r, part));
    else if (audio != JSON_NONE) add_audio(r, audio);
    else if (file != JSON_NONE) add_file(r, file);
    else if (source != JSON_NONE && says(r, get(r, part, "type"), "image")) add_source(r, source);
    else return false;
    return true;
}

static void put_content(struct tokens_run *r, uint32_t content, struct buf *out);
static void add_content_others(struct tokens_run *r, uint32_t content);

/* Anthropic's calls and results, which are parts. */
static bool add_tool_part(struct tokens_run *r, uint32_t part) {
    uint32_t type = get(r, part, "type");
    bool use = says(r, type, "tool_use"), result = says(r, type, "tool_result");
    if (!use && !result) return false;
    r->exact = false;
    if (result) add_content_others(r, get(r, part, "content"));
    struct buf *b = run_begin(r);
    if (result) put_content(r, get(r, part, "content"), b);
    else put_string(r, get(r, part, "name"), b);
    uint32_t input = use ? get(r, part, "input") : JSON_NONE;
    if (input != JSON_NONE) json_spaced(r->doc, input, b);
    run_stretch(r);
    run_add(r, PER_CALL);
    return true;
}

static uint32_t text_of_part(const struct tokens_run *r, uint32_t part) {
    if (is(r->doc, part, JSON_STRING)) return part;
    static const char *const keys[] = { "text", "refusal" };
    for (size_t i = 0; i < 2; i++) {
        uint32_t n = get(r, part, keys[i]);
        if (is(r->doc, n, JSON_STRING)) return n;
    }
    return JSON_NONE;
}

/* What else there is in a part: its JSON. */
static void put_unknown(struct tokens_run *r, uint32_t part, struct buf *out) {
    r->exact = false;
    json_spaced(r->doc, part, out);
}

/* Appends a content's text; what is not text is added at once. */
static void put_content(struct tokens_run *r, uint32_t content, struct buf *out) {
    put_string(r, content, out);
    if (!is(r->doc, content, JSON_ARRAY)) return;
    for (uint32_t e = json_first(r->doc, content); e != JSON_NONE; e = json_next(r->doc, content, e)) {
        uint32_t text = text_of_part(r, e);
        if (text != JSON_NONE) put_string(r, text, out);
    }
}

/* What is not text in a content, before the stretch of its text is begun: both use the
 * same buffer. */
static void add_content_others(struct tokens_run *r, uint32_t content) {
    if (!is(r->doc, content, JSON_ARRAY)) return;
    for (uint32_t e = json_first(r->doc, content); e != JSON_NONE && !run_is_over(r);
         e = json_next(r->doc, content, e)) {
        if (text_of_part(r, e) != JSON_NONE || add_other_part(r, e) || add_tool_part(r, e)) continue;
        put_unknown(r, e, run_begin(r));
        run_stretch(r);
    }
}

/* The function of a call: { name, arguments }, or of a custom tool { name, input }. */
static uint32_t called(const struct tokens_run *r, uint32_t call) {
    uint32_t f = get(r, call, "function");
    if (f == JSON_NONE) f = get(r, call, "custom");
    return is(r->doc, f, JSON_OBJECT) ? f : call;
}

static uint32_t arguments_of(const struct tokens_run *r, uint32_t f) {
    uint32_t n = get(r, f, "arguments");
    return n != JSON_NONE ? n : get(r, f, "input");
}

static uint32_t calls_of(const struct tokens_run *r, uint32_t m) {
    uint32_t n = get(r, m, "tool_calls");
    return is(r->doc, n, JSON_ARRAY) && r->doc->nodes[n].count > 0 ? n : JSON_NONE;
}

/* -- openai ---------------------------------------------------------------------------------- */

static void add_call(struct tokens_run *r, uint32_t f) {
    r->exact = false;
    add_string(r, get(r, f, "name"));
    uint32_t arguments = arguments_of(r, f);
    if (arguments != JSON_NONE) {
        put_any(r, arguments, run_begin(r));
        run_stretch(r);
    }
    run_add(r, PER_CALL);
}

static void add_parts(struct tokens_run *r, uint32_t content) {
    add_content_others(r, content);
    for (uint32_t e = json_first(r->doc, content); e != JSON_NONE && !run_is_over(r);
         e = json_next(r->doc, content, e))
        add_string(r, text_of_part(r, e));
}

/* padded: the first system message gets a line end when there are tools. */
static void message_openai(struct tokens_run *r, uint32_t m, bool padded) {
    uint32_t content = get(r, m, "content"), name = get(r, m, "name"), call = get(r, m, "function_call"),
             calls = calls_of(r, m);
    run_add(r, says(r, get(r, m, "role"), "function") ? PER_MESSAGE - FUNCTION_ROLE : PER_MESSAGE);
    add_string(r, get(r, m, "role"));
    if (padded && is(r->doc, content, JSON_STRING) && json_raw(r->doc, content).len > 2) {
        struct buf *b = run_begin(r);
        put_string(r, content, b);
        if (buf_len(b) > 0 && b->data[b->len - 1] != '\n') buf_putc(b, '\n');
        run_stretch(r);
    } else if (is(r->doc, content, JSON_ARRAY)) {
        add_parts(r, content);
    } else {
        add_string(r, content);
    }
    add_string(r, get(r, m, "refusal"));
    if (is(r->doc, name, JSON_STRING)) {
        run_string(r, name);
        run_add(r, PER_NAME);
    }
    if (is(r->doc, call, JSON_OBJECT)) add_call(r, call);
    if (calls != JSON_NONE)
        for (uint32_t e = json_first(r->doc, calls); e != JSON_NONE && !run_is_over(r); e = json_next(r->doc, calls, e))
            add_call(r, called(r, e));
    if (says(r, get(r, m, "role"), "tool")) r->exact = false;
}

/* -- chatml (Qwen) ----------------------------------------------------------------------------- */

static void message_chatml(struct tokens_run *r, uint32_t m) {
    uint32_t content = get(r, m, "content"), role = get(r, m, "role"), calls = calls_of(r, m);
    bool tool = says(r, role, "tool");
    if (tool || calls != JSON_NONE) r->exact = false;
    add_content_others(r, content);
    struct buf *b = run_begin(r);
    if (tool) buf_puts(b, "user\n<tool_response>");
    else put_string(r, role, b);
    buf_putc(b, '\n');
    size_t before = buf_len(b);
    put_content(r, content, b);
    if (tool) buf_puts(b, "\n</tool_response>");
    for (uint32_t e = calls == JSON_NONE ? JSON_NONE : json_first(r->doc, calls); e != JSON_NONE;
         e = json_next(r->doc, calls, e)) {
        uint32_t f = called(r, e);
        buf_puts(b, buf_len(b) > before ? "\n<tool_call>\n{\"name\": \"" : "<tool_call>\n{\"name\": \"");
        put_string(r, get(r, f, "name"), b);
        buf_puts(b, "\", \"arguments\": ");
        put_any(r, arguments_of(r, f), b);
        buf_puts(b, "}\n</tool_call>");
    }
    run_stretch(r);
    run_add(r, 3); /* <|im_start|>, <|im_end|>, "\n" */
}

/* They stand behind the first system message, or in one of their own. */
static void tools_chatml(struct tokens_run *r, uint32_t tools, bool own) {
    struct buf *b = run_begin(r);
    buf_puts(b, own ? "system\n" : "\n\n");
    buf_puts(b, "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
                "You are provided with function signatures within <tools></tools> XML tags:\n<tools>");
    for (uint32_t e = json_first(r->doc, tools); e != JSON_NONE; e = json_next(r->doc, tools, e)) {
        buf_putc(b, '\n');
        json_spaced(r->doc, e, b);
    }
    buf_puts(b, "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
                "within <tool_call></tool_call> XML tags:\n<tool_call>\n"
                "{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>");
    run_stretch(r);
}

/* -- llama3 -------------------------------------------------------------------------------------- */

static void message_llama3(struct tokens_run *r, uint32_t m) {
    uint32_t content = get(r, m, "content"), role = get(r, m, "role"), calls = calls_of(r, m);
    if (calls != JSON_NONE || says(r, role, "tool")) r->exact = false;
    if (says(r, role, "tool")) run_text(r, SLICE("ipython"));
    else add_string(r, role);
    add_content_others(r, content);
    struct buf *b = run_begin(r), text;
    buf_init(&text, 0);
    put_content(r, content, &text);
    struct slice s = buf_get(&text); /* the template trims it */
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[0]) != NULL) s = slice_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1]) != NULL) s.len--;
    buf_puts(b, "\n\n");
    buf_slice(b, s);
    for (uint32_t e = calls == JSON_NONE ? JSON_NONE : json_first(r->doc, calls); e != JSON_NONE;
         e = json_next(r->doc, calls, e)) {
        uint32_t f = called(r, e);
        buf_puts(b, "{\"name\": \"");
        put_string(r, get(r, f, "name"), b);
        buf_puts(b, "\", \"parameters\": ");
        put_any(r, arguments_of(r, f), b);
        buf_putc(b, '}');
    }
    if (buf_failed(&text)) b->error = text.error;
    buf_deinit(&text);
    run_stretch(r);
    run_add(r, 3); /* <|start_header_id|>, <|end_header_id|>, <|eot_id|> */
}

/* -- deepseek ---------------------------------------------------------------------------------------- */

static void message_deepseek(struct tokens_run *r, uint32_t m) {
    uint32_t content = get(r, m, "content"), role = get(r, m, "role"), calls = calls_of(r, m);
    add_content_others(r, content);
    put_content(r, content, run_begin(r));
    run_stretch(r);
    if (says(r, role, "user")) run_add(r, 1);           /* <|User|> */
    else if (says(r, role, "assistant")) run_add(r, 2); /* <|Assistant|>, <|end_of_sentence|> */
    else if (says(r, role, "tool")) run_add(r, 4);      /* around the output, and around all outputs */
    if (says(r, role, "tool")) r->exact = false;
    for (uint32_t e = calls == JSON_NONE ? JSON_NONE : json_first(r->doc, calls); e != JSON_NONE && !run_is_over(r);
         e = json_next(r->doc, calls, e)) {
        uint32_t f = called(r, e);
        r->exact = false;
        struct buf *b = run_begin(r);
        put_string(r, get(r, f, "name"), b);
        buf_puts(b, "\n```json\n");
        put_any(r, arguments_of(r, f), b);
        buf_puts(b, "\n```");
        run_stretch(r);
        run_add(r, 6); /* begin, "function", separator, end, and around all calls */
    }
}

/* -- harmony (gpt-oss) ---------------------------------------------------------------------------------- */

static const char harmony_system[] =
    "You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
    "Current date: 2025-06-28\n\nReasoning: medium\n\n"
    "# Valid channels: analysis, commentary, final. Channel must be included for every message.";
static const char harmony_calls[] = "\nCalls to these tools must go to the commentary channel: 'functions'.";

static void harmony_call(struct tokens_run *r, uint32_t f) {
    r->exact = false;
    struct buf *b = run_begin(r);
    buf_puts(b, "assistant to=functions.");
    put_string(r, get(r, f, "name"), b);
    run_stretch(r);
    run_text(r, SLICE("commentary "));
    run_text(r, SLICE("json"));
    put_any(r, arguments_of(r, f), run_begin(r));
    run_stretch(r);
    run_add(r, 5); /* <|start|>, <|channel|>, <|constrain|>, <|message|>, <|call|> */
}

static void message_harmony(struct tokens_run *r, uint32_t m) {
    uint32_t content = get(r, m, "content"), role = get(r, m, "role"), calls = calls_of(r, m);
    bool developer = says(r, role, "system") || says(r, role, "developer"), tool = says(r, role, "tool"),
         assistant = says(r, role, "assistant");
    bool empty = content == JSON_NONE || json_type(r->doc, content) == JSON_NULL || json_raw(r->doc, content).len == 2;
    for (uint32_t e = calls == JSON_NONE ? JSON_NONE : json_first(r->doc, calls); e != JSON_NONE && !run_is_over(r);
         e = json_next(r->doc, calls, e))
        harmony_call(r, called(r, e));
    if (calls != JSON_NONE && empty) return;
    add_content_others(r, content);
    if (tool) r->exact = false;
    if (developer) run_text(r, SLICE("developer"));
    else if (tool) run_text(r, SLICE("functions to=assistant"));
    else add_string(r, role);
    if (tool) run_text(r, SLICE("commentary"));
    if (assistant) run_text(r, SLICE("final"));
    struct buf *b = run_begin(r);
    if (developer) buf_puts(b, "# Instructions\n\n");
    put_content(r, content, b);
    run_stretch(r);
    run_add(r, tool || assistant ? 4 : 3); /* <|start|>, <|channel|>, <|message|>, <|end|> */
}

/* -- Any message ------------------------------------------------------------------------------------------ */

/* Counts what counting adds, so that it can be remembered by itself. */
struct measure { uint64_t before; bool exact; };

static struct measure measure_begin(struct tokens_run *r) {
    struct measure m = { r->total, r->exact };
    r->exact = r->ask->model.exact;
    return m;
}

static void measure_end(struct tokens_run *r, struct measure m, const struct hash128 *key) {
    if (!run_is_over(r)) run_remember(r, key, r->total - m.before, r->exact);
    r->exact = r->exact && m.exact;
}

void run_message(struct tokens_run *r, uint32_t message, bool padded) {
    struct hash128 key;
    if (run_is_over(r)) return;
    if (run_recall(r, json_raw(r->doc, message), padded ? K_PADDED : K_MESSAGE, &key)) return;
    struct measure m = measure_begin(r);
    switch (r->ask->model.form) {
    case FORM_CHATML: message_chatml(r, message); break;
    case FORM_LLAMA3: message_llama3(r, message); break;
    case FORM_DEEPSEEK: message_deepseek(r, message); break;
    case FORM_HARMONY: message_harmony(r, message); break;
    default: message_openai(r, message, padded); break;
    }
    measure_end(r, m, &key);
}

/* -- A request ---------------------------------------------------------------------------------------------- */

static bool is_system(const struct tokens_run *r, uint32_t message) {
    uint32_t role = get(r, message, "role");
    return says(r, role, "system") || says(r, role, "developer");
}

static uint32_t first_system(const struct tokens_run *r, uint32_t messages) {
    for (uint32_t m = json_first(r->doc, messages); m != JSON_NONE; m = json_next(r->doc, messages, m))
        if (is_system(r, m)) return m;
    return JSON_NONE;
}

static void typescript(struct tokens_run *r, uint32_t tools) {
    struct slice raw = json_raw(r->doc, tools);
    struct buf *b = run_begin(r);
    b->limit = 8 * raw.len + 65536; /* a schema can say the same very often */
    tools_as_typescript(r->doc, tools, b);
    bool too_long = b->error == PERILUNE_ERR_LIMITED;
    b->limit = 0;
    if (too_long) {
        buf_clear(b);
        run_text(r, raw);
    } else {
        run_stretch(r);
    }
}

static void definitions(struct tokens_run *r, uint32_t tools, bool own) {
    struct hash128 key;
    r->exact = false;
    if (run_recall(r, json_raw(r->doc, tools), own ? K_TOOLS_ALONE : K_TOOLS, &key)) return;
    struct measure m = measure_begin(r);
    r->exact = false;
    switch (r->ask->model.form) {
    case FORM_CHATML: tools_chatml(r, tools, own); break;
    case FORM_HARMONY:
        typescript(r, tools);
        run_text(r, SLICE("\n\n# Tools\n\n## functions\n\n"));
        run_text(r, slice_str(harmony_calls));
        break;
    case FORM_OPENAI: typescript(r, tools); break;
    default: run_text(r, json_raw(r->doc, tools)); break;
    }
    measure_end(r, m, &key);
}

/* function_call and tool_choice: "none", or one that must be called. */
static void choice(struct tokens_run *r, uint32_t n) {
    if (says(r, n, "none")) run_add(r, FORCED_NONE);
    uint32_t name = is(r->doc, n, JSON_OBJECT) ? get(r, called(r, n), "name") : JSON_NONE;
    if (!is(r->doc, name, JSON_STRING)) return;
    run_string(r, name);
    run_add(r, FORCED_NAME);
}

static void response_format(struct tokens_run *r) {
    uint32_t schema = get(r, get(r, get(r, 0, "response_format"), "json_schema"), "schema");
    struct hash128 key;
    if (schema == JSON_NONE) return;
    r->exact = false;
    if (run_recall(r, json_raw(r->doc, schema), K_FORMAT, &key)) return;
    struct measure m = measure_begin(r);
    r->exact = false;
    json_spaced(r->doc, schema, run_begin(r));
    run_stretch(r);
    measure_end(r, m, &key);
}

static uint32_t filled(const struct tokens_run *r, const char *key) {
    uint32_t n = get(r, 0, key);
    return is(r->doc, n, JSON_ARRAY) && r->doc->nodes[n].count > 0 ? n : JSON_NONE;
}

/* What stands around all messages. */
static void frame(struct tokens_run *r) {
    switch (r->ask->model.form) {
    case FORM_CHATML: run_add(r, 3); break; /* <|im_start|> assistant \n */
    case FORM_LLAMA3: run_add(r, 5); break; /* <|begin_of_text|>, and the head of the reply */
    case FORM_DEEPSEEK: run_add(r, 2); break; /* <|begin_of_sentence|>, <|Assistant|> */
    case FORM_HARMONY:
        run_text(r, SLICE("system"));
        run_text(r, slice_str(harmony_system));
        run_add(r, 3 + 2); /* and <|start|> assistant */
        break;
    default: run_add(r, REPLY_PRIMER); break;
    }
}

static void chat(struct tokens_run *r, uint32_t messages) {
    uint32_t tools = filled(r, "tools"), functions = filled(r, "functions");
    bool openai = r->ask->model.form == FORM_OPENAI, has = tools != JSON_NONE || functions != JSON_NONE;
    uint32_t system = has ? first_system(r, messages) : JSON_NONE; /* nobody else asks */
    uint32_t padded = openai && has ? system : JSON_NONE;
    frame(r);
    if (tools != JSON_NONE) definitions(r, tools, system == JSON_NONE);
    if (functions != JSON_NONE) definitions(r, functions, system == JSON_NONE);
    if (has && openai) run_add(r, system == JSON_NONE ? DEFINITIONS : DEFINITIONS - SYSTEM_WITH_TOOLS);
    if (has && r->ask->model.form == FORM_HARMONY && system == JSON_NONE)
        run_add(r, 4); /* a developer message for the tools alone */
    if (has && r->ask->model.form == FORM_CHATML) run_add(r, system == JSON_NONE ? 3 : 0);
    choice(r, get(r, 0, "tool_choice"));
    choice(r, get(r, 0, "function_call"));
    response_format(r);
    for (uint32_t m = json_first(r->doc, messages); m != JSON_NONE && !run_is_over(r);
         m = json_next(r->doc, messages, m))
        run_message(r, m, m == padded);
}

/* `input` of embeddings, `prompt` of completions: a text, several, or tokens. */
static void texts(struct tokens_run *r, uint32_t n) {
    add_string(r, n);
    if (!is(r->doc, n, JSON_ARRAY)) return;
    for (uint32_t e = json_first(r->doc, n); e != JSON_NONE && !run_is_over(r); e = json_next(r->doc, n, e)) {
        if (is(r->doc, e, JSON_NUMBER)) run_add(r, 1);
        else if (is(r->doc, e, JSON_OBJECT)) run_message(r, e, false);
        else texts(r, e);
    }
}

void run_body(struct tokens_run *r) {
    uint32_t messages = get(r, 0, "messages"), input = get(r, 0, "input"), prompt = get(r, 0, "prompt");
    if (is(r->doc, messages, JSON_ARRAY)) {
        chat(r, messages);
    } else if (input != JSON_NONE || prompt != JSON_NONE) {
        texts(r, input != JSON_NONE ? input : prompt);
    } else {
        r->exact = false;
        run_text(r, json_raw(r->doc, 0));
    }
}
