/* model_show.c -- perilune model show: what a GGUF file says of its model.
 *
 *     FILE --> gguf_open() --> facts_read() --> lines for people, or one JSON object
 *                                |
 *                                +--> would an engine take it? what does it lack?
 *
 * No weights are read and no library is needed, so that the answer is the same on every machine, and there in
 * milliseconds for a file of any size.
 *
 * MEMORY is that of the weights, as they stand in the file, and of the keys and values of `--context` positions; the
 * engine needs buffers for its work besides, which depend on its settings. */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/json.h"
#include "cli/args.h"
#include "cli/model_tool.h"
#include "include/perilune.h"

#define TEMPLATE_LINES 3
#define TEMPLATE_BYTES 240
#define MISSING        8
#define CONTEXT_MAX    (1u << 30)

struct showing {
    const char *file, *kv_name;
    long        context_asked;
    bool        json;
    struct gguf  g;
    struct facts f;
    const struct gguf_tensor_type *kv;
    uint64_t    context;          /* positions that memory is said for; 0: not known */
    const char *missing[MISSING]; /* sentences */
    unsigned    missing_count;
    char        refused[GGUF_WHY]; /* "": an engine would take it */
};

static int read_arguments(struct showing *s, int argc, char **argv) {
    const struct arg table[] = {
        { "context", 'c', ARG_INT, &s->context_asked, "N",
          "say the memory of N positions (default: the model's own)", 1, CONTEXT_MAX },
        { "kv-type", 0, ARG_STRING, &s->kv_name, "TYPE",
          "of keys and values: F16 (default), F32, Q8_0, Q4_0 ...", 0, 0 },
        { "json", 0, ARG_FLAG, &s->json, NULL, "print one JSON object", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune model show",
        .usage = "[options] FILE.gguf",
        .about = "Says what a file of a model holds: architecture, parameters, quantization, context,\n"
                 "tokenizer, chat template, licence, the memory that it takes, and what it lacks.\n"
                 "Needs no engine.  Exit status 0: an engine would take it, 1: not, 2: wrong usage.",
        .table = table,
        .words = &s->file,
        .max_words = 1,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 0) return args_fail(&a, "give it a FILE.gguf");
    for (uint32_t i = 0; i < GGUF_TYPES && s->kv == NULL; i++) {
        const struct gguf_tensor_type *t = gguf_tensor_type(i);
        if (t != NULL && strcasecmp(t->name, s->kv_name) == 0) s->kv = t;
    }
    if (s->kv == NULL) return args_fail(&a, "--kv-type: there is no type '%s'", s->kv_name);
    return -1;
}

/* -- What it lacks -------------------------------------------------------------------------- */

static void miss(struct showing *s, bool is, const char *sentence) {
    if (is && s->missing_count < MISSING) s->missing[s->missing_count++] = sentence;
}

static bool token_is_outside(const struct showing *s, const char *key) {
    uint64_t id;
    return s->f.vocabulary > 0 && gguf_u64(&s->g, key, &id) && id >= s->f.vocabulary;
}

static void find_missing(struct showing *s) {
    const struct facts *f = &s->f;
    bool outside = token_is_outside(s, "tokenizer.ggml.bos_token_id") ||
                   token_is_outside(s, "tokenizer.ggml.eos_token_id");
    miss(s, f->causal && f->chat_template.len == 0,
         "no chat template: a base model, or the template has to be guessed or given");
    miss(s, !f->causal && f->pooling < 0, "no pooling type: how vectors of tokens become one of a text is a guess");
    miss(s, f->tokenizer.len == 0 || f->vocabulary == 0, "no vocabulary: texts cannot become tokens");
    miss(s, f->causal && gguf_find(&s->g, "tokenizer.ggml.eos_token_id") == NULL,
         "no token that ends an answer (eos): answers may run on to their limit");
    miss(s, outside, "its first or last token (bos, eos) is not in its vocabulary");
    miss(s, f->licence.len == 0, "no licence: look where the file came from");
    miss(s, s->g.data_end < s->g.file_size && s->g.file_size - s->g.data_end >= s->g.alignment,
         "bytes behind the last tensor, which nothing in the file speaks of");
}

static void judge(struct showing *s) {
    int rc = facts_is_model(&s->g, s->file, s->refused, sizeof(s->refused));
    if (rc == 0) rc = facts_check(&s->g, &s->f, s->refused, sizeof(s->refused));
    if (rc == 0) s->refused[0] = '\0';
    s->context = s->context_asked > 0 ? (uint64_t)s->context_asked : s->f.context;
    find_missing(s);
}

/* Of so many positions.  The number of a position is below 2^50, and a context below 2^31: a double has no trouble. */
static uint64_t kv_bytes(const struct showing *s, uint64_t positions) {
    double bytes = (double)s->f.kv_per_token * (double)positions / s->kv->block * s->kv->bytes;
    return bytes < 9e18 ? (uint64_t)bytes : INT64_MAX;
}

/* -- For people ------------------------------------------------------------------------------------ */

/* Somebody else's text, cut, without what a terminal obeys to. */
static void say_text(const char *label, struct slice text) {
    char shown[200];
    if (text.len == 0) return;
    slice_copy(shown, sizeof(shown), text);
    slice_mute(shown);
    printf("%-14s%s\n", label, shown);
}

static void say_shape(const struct showing *s) {
    const struct facts *f = &s->f;
    char architecture[80];
    slice_copy(architecture, sizeof(architecture), f->architecture);
    slice_mute(architecture);
    printf("%-14s%s%s, %" PRIu64 " layers of %" PRIu64, "architecture", architecture, f->causal ? "" : " (an encoder)",
           f->layers, f->width);
    if (f->heads > 0) printf(", %" PRIu64 " heads (%" PRIu64 " of keys)", f->heads, f->heads_kv);
    if (f->experts > 0) printf(", %" PRIu64 " of %" PRIu64 " experts", f->experts_used, f->experts);
    putchar('\n');
}

static void say_quantization(const struct showing *s) {
    const struct facts *f = &s->f;
    char count[32], size[32];
    const char *label = "quantization";
    bool said[GGUF_TYPES] = { false };
    for (;;) { /* the largest first; of equal ones the first */
        int best = -1;
        for (int i = 0; i < GGUF_TYPES; i++)
            if (f->uses[i].tensors > 0 && !said[i] && (best < 0 || f->uses[i].bytes > f->uses[best].bytes)) best = i;
        if (best < 0) break;
        said[best] = true;
        printf("%-14s%-8s %u tensors, %s numbers, %s\n", label, gguf_tensor_type((uint32_t)best)->name,
               f->uses[best].tensors, model_tool_count(f->uses[best].count, count),
               model_tool_size(f->uses[best].bytes, size));
        label = "";
    }
    if (f->parameters > 0)
        printf("%-14s%.2f bits a number\n", "", (double)f->weight_bytes * 8 / (double)f->parameters);
}

static void say_tokenizer(const struct showing *s) {
    char kind[80], pre[80];
    slice_copy(kind, sizeof(kind), s->f.tokenizer);
    slice_copy(pre, sizeof(pre), s->f.pre_tokenizer);
    slice_mute(kind);
    slice_mute(pre);
    if (kind[0] == '\0') return;
    printf("%-14s%s%s%s%s, %" PRIu64 " tokens\n", "tokenizer", kind, pre[0] ? " (" : "", pre, pre[0] ? ")" : "",
           s->f.vocabulary);
}

static void say_template(const struct showing *s) {
    struct slice rest = s->f.chat_template;
    const char *label = "template";
    for (unsigned i = 0; i < TEMPLATE_LINES && rest.len > 0; i++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        struct slice line = slice_of(rest.ptr, end != NULL ? (size_t)(end - rest.ptr) : rest.len);
        rest = end != NULL ? slice_of(end + 1, rest.len - line.len - 1) : SLICE("");
        char shown[TEMPLATE_BYTES / TEMPLATE_LINES + 1];
        slice_copy(shown, sizeof(shown), line);
        shown[utf8_valid_prefix(slice_str(shown))] = '\0';
        slice_mute(shown);
        printf("%-14s%s%s\n", label, shown, strlen(shown) < line.len ? "..." : "");
        label = "";
    }
    if (rest.len > 0) printf("%-14s(%zu bytes in all)\n", "", s->f.chat_template.len);
}

static void say_memory(const struct showing *s) {
    char weights[32], kv[32], one[32], all[32];
    const struct facts *f = &s->f;
    printf("%-14sweights %s", "memory", model_tool_size(f->weight_bytes, weights));
    if (f->kv_per_token == 0) {
        puts(f->causal ? "; a state of its own kind, which does not grow with the context"
                       : "; keeps nothing of a text");
        return;
    }
    uint64_t kv_of = kv_bytes(s, s->context);
    printf(" + %s%s for %" PRIu64 " positions (%s: %s each) = %s\n", f->window > 0 ? "at most " : "",
           model_tool_size(kv_of, kv), s->context, s->kv->name, model_tool_size(kv_bytes(s, 1), one),
           model_tool_size(kv_of > INT64_MAX - f->weight_bytes ? INT64_MAX : f->weight_bytes + kv_of, all));
    if (f->context > 0 && s->context > f->context)
        printf("%-14sthe model was trained with %" PRIu64 " positions: beyond, it may say anything\n", "", f->context);
}

static void say(const struct showing *s) {
    const struct facts *f = &s->f;
    char size[32], count[32];
    printf("%s: GGUF %" PRIu32 ", %s, %u tensors\n", s->file, s->g.version, model_tool_size(s->g.file_size, size),
           s->g.tensor_count);
    say_text("name", f->name);
    say_shape(s);
    printf("%-14s%s\n", "parameters", model_tool_count(f->parameters, count));
    say_quantization(s);
    printf("%-14s%" PRIu64 " tokens", "context", f->context);
    if (f->window > 0) printf(", a window of %" PRIu64 " in some or all layers", f->window);
    putchar('\n');
    say_tokenizer(s);
    say_template(s);
    say_text("licence", f->licence);
    say_memory(s);
    for (unsigned i = 0; i < s->missing_count; i++) printf("%-14s%s\n", i == 0 ? "missing" : "", s->missing[i]);
    if (s->refused[0] != '\0') printf("%-14s%s\n", "refused", s->refused);
}

/* -- For programs ------------------------------------------------------------------------------------- */

static void put_string(struct buf *out, const char *key, struct slice text) {
    buf_printf(out, ",\"%s\":", key);
    if (text.len == 0) buf_puts(out, "null");
    else json_write_string(out, text);
}

static void put_types(struct buf *out, const struct facts *f) {
    bool first = true;
    buf_puts(out, ",\"quantization\":{");
    for (uint32_t i = 0; i < GGUF_TYPES; i++) {
        if (f->uses[i].tensors == 0) continue;
        buf_printf(out, "%s\"%s\":{\"tensors\":%u,\"numbers\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", first ? "" : ",",
                   gguf_tensor_type(i)->name, f->uses[i].tensors, f->uses[i].count, f->uses[i].bytes);
        first = false;
    }
    buf_putc(out, '}');
}

static void put_lists(struct buf *out, const struct showing *s) {
    buf_puts(out, ",\"missing\":[");
    for (unsigned i = 0; i < s->missing_count; i++) {
        if (i > 0) buf_putc(out, ',');
        json_write_string(out, slice_str(s->missing[i]));
    }
    buf_putc(out, ']');
    put_string(out, "refused", slice_str(s->refused));
}

static void put_json(struct buf *out, const struct showing *s) {
    const struct facts *f = &s->f;
    buf_puts(out, "{\"file\":");
    json_write_string(out, slice_str(s->file));
    buf_printf(out, ",\"version\":%" PRIu32 ",\"bytes\":%" PRIu64 ",\"tensors\":%u", s->g.version, s->g.file_size,
               s->g.tensor_count);
    put_string(out, "name", f->name);
    put_string(out, "architecture", f->architecture);
    put_string(out, "licence", f->licence);
    put_string(out, "tokenizer", f->tokenizer);
    put_string(out, "pre_tokenizer", f->pre_tokenizer);
    put_string(out, "chat_template", f->chat_template);
    buf_printf(out, ",\"causal\":%s", f->causal ? "true" : "false");
    const struct { const char *key; uint64_t value; } numbers[] = {
        { "layers", f->layers }, { "width", f->width }, { "heads", f->heads }, { "heads_kv", f->heads_kv },
        { "experts", f->experts }, { "experts_used", f->experts_used }, { "context", f->context },
        { "window", f->window }, { "vocabulary", f->vocabulary }, { "parameters", f->parameters },
        { "weight_bytes", f->weight_bytes },
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        buf_printf(out, ",\"%s\":%" PRIu64, numbers[i].key, numbers[i].value);
    put_types(out, f);
    buf_printf(out, ",\"kv_type\":\"%s\",\"kv_bytes_per_position\":%" PRIu64 ",\"kv_positions\":%" PRIu64
               ",\"kv_bytes\":%" PRIu64, s->kv->name, kv_bytes(s, 1), s->context, kv_bytes(s, s->context));
    put_lists(out, s);
    buf_puts(out, "}\n");
}

static int print_json(const struct showing *s) {
    struct buf out;
    buf_init(&out, 0);
    put_json(&out, s);
    bool failed = buf_failed(&out);
    if (failed) fprintf(stderr, "perilune model show: out of memory\n");
    else fwrite(buf_get(&out).ptr, 1, buf_len(&out), stdout);
    buf_deinit(&out);
    return failed ? 1 : 0;
}

int model_tool_show(int argc, char **argv) {
    struct showing s = { .kv_name = "F16" };
    int status = read_arguments(&s, argc, argv);
    if (status >= 0) return status;
    status = model_tool_open("show", s.file, &s.g, &s.f);
    if (status == 0) {
        judge(&s);
        if (s.json) status = print_json(&s);
        else say(&s);
        if (s.refused[0] != '\0') status = 1;
    }
    gguf_close(&s.g);
    return status;
}
