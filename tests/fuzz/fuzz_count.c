/* fuzz_count.c -- whatever a request holds, in every form: it is counted, counting again
 * and by another counter gives the same, and a limit stops where it should. */
#include "fuzz.h"

#include <string.h>

#include "base/json.h"
#include "include/perilune.h"
#include "tokens/image.h"
#include "tokens/tokens.h"

const char *const fuzz_tokens[] = {
    "{\"role\":\"user\",\"content\":\"hi\"}", "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"x\"}", "\"messages\":[",
    "\"content\":", "\"name\":\"n\"", "\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]",
    "\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}", "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],",
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{}}}", "\"type\":[\"object\",\"array\",\"null\"]", "\"enum\":[1,\"b\"]",
    "\"required\":[\"a\"]", "\"items\":{}", "\"anyOf\":[{},{\"type\":\"string\"}]", "{\"type\":\"text\",\"text\":\"t\"}",
    "{\"image_url\":{\"url\":\"data:image/gif;base64,R0lGODlhQAHwAIAAAA==\"}}", "{\"image_url\":\"http://x\"}", "\"detail\":\"low\"",
    "{\"input_audio\":{\"data\":\"UklGRgAAAABXQVZF\"}}", "{\"file\":{\"file_data\":\"AAAA\"}}", "{\"type\":\"tool_result\",\"content\":[]}",
    "{\"type\":\"tool_use\",\"input\":{}}", "\"source\":{\"data\":\"iVBORw0KGgo\"}", "\"input\":[1,2,[\"x\"]]", "\"prompt\":\"p\"",
    "\"response_format\":{\"json_schema\":{\"schema\":{}}}", "\"tool_choice\":\"none\"", "\"role\":\"system\"", "\"role\":\"assistant\"",
    "\"role\":\"function\"", "\\ud83d", "\\u0000", "\\n", "\xE4\xBD\xA0", "null", "true", "{", "}", "[", "]", ",", ":", "\"", NULL
};

static const char *const names[] = { "gpt-4o", "gpt-4", "gpt-oss", "qwen3", "llama-3", "deepseek", "claude", "gpt-5-mini" };
#define NAMES (sizeof(names) / sizeof(*names))

static void check_body(struct models *m, struct tokens *kept, const struct json_doc *doc) {
    for (size_t i = 0; i < NAMES; i++) {
        struct tokens_ask ask = { .limit = TOKENS_NO_LIMIT };
        struct tokens_count first, again, limited;
        models_find(m, slice_str(names[i]), &ask.model);
        struct tokens *fresh = i < 2 ? tokens_new() : kept;
        ORACLE(fresh != NULL);
        ORACLE(tokens_body(fresh, &ask, doc, &first) == 0);
        ORACLE(tokens_body(kept, &ask, doc, &again) == 0);
        ORACLE(first.tokens == again.tokens && first.exact == again.exact);
        if (!ask.model.exact) ORACLE(!first.exact);
        ask.limit = first.tokens / 2;
        ORACLE(tokens_body(fresh, &ask, doc, &limited) == 0);
        ORACLE(limited.tokens == (first.tokens > ask.limit ? ask.limit + 1 : first.tokens));
        ask.limit = first.tokens;
        ORACLE(tokens_body(fresh, &ask, doc, &limited) == 0);
        ORACLE(limited.tokens == first.tokens);
        if (fresh != kept) tokens_free(fresh);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct models *m;
    static struct tokens *kept;
    static unsigned runs;
    if (m == NULL) m = models_new(NULL);
    if (kept == NULL) kept = tokens_new();
    ORACLE(m != NULL && kept != NULL);
    struct slice text = slice_of((const char *)data, size);
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct image_size image;
    if (image_size(text, &image)) ORACLE(image.width > 0 && image.height > 0);
    image_size_of_url(text, &image);
    if (json_parse(&doc, text, &err) == 0) check_body(m, kept, &doc);
    json_deinit(&doc);
    if (++runs % 100000 == 0) { /* start anew, also for leaks */
        tokens_free(kept);
        models_put(m);
        kept = NULL;
        m = NULL;
    }
    return 0;
}
