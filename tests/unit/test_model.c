/* test_model.c -- perilune model: what it says of good files and bad ones. */
#include "unit.h"
#include "command.h"
#include "gguf_file.h"

#include "base/json.h"
#include "include/perilune.h"

static struct command r;

static void tiny(char path[64]) {
    struct buf b;
    buf_init(&b, 0);
    gguf_put_model(&b);
    gguf_file(&b, path);
    buf_deinit(&b);
}

TEST_NOFAULT(show_says_what_a_file_holds) {
    char path[64];
    tiny(path);
    COMMAND(&r, perilune_tool_model, "model", "show", path);
    CHECK_STR(r.err, "");
    CHECK_INT(r.status, 0);
    command_has(r.out, "name          Tiny");
    command_has(r.out, "architecture  llama, 1 layers of 32, 8 heads (2 of keys)");
    command_has(r.out, "quantization  F32      1 tensors, 32 numbers, 128 bytes\n              Q8_0     1 tensors, 96");
    command_has(r.out, "tokenizer     gpt2, 3 tokens");
    command_has(r.out, "template      {{ messages }}\n              {% line two %}\n");
    command_has(r.out, "licence       mit");
    command_has(r.out, "weights 230 bytes + 16.4 kB for 512 positions (F16: 32 bytes each) = 16.6 kB");
    command_has(r.out, "no token that ends an answer");
    COMMAND(&r, perilune_tool_model, "model", "show", path, "--context", "1000", "--kv-type", "q8_0");
    command_has(r.out, "17.0 kB for 1000 positions (Q8_0: 17 bytes each)");
    command_has(r.out, "trained with 512 positions");
    unlink(path);
}

TEST_NOFAULT(show_for_programs) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    char path[64];
    tiny(path);
    COMMAND(&r, perilune_tool_model, "model", "show", "--json", path);
    CHECK_INT(r.status, 0);
    CHECK_INT(json_parse(&doc, slice_str(r.out), &e), 0);
    CHECK(json_number(&doc, json_get(&doc, 0, SLICE("kv_bytes"))) == 512 * 32);
    CHECK(json_type(&doc, json_get(&doc, 0, SLICE("refused"))) == JSON_NULL);
    CHECK(json_str_eq(&doc, json_get(&doc, 0, SLICE("licence")), SLICE("mit")));
    json_deinit(&doc);
    unlink(path);
}

TEST_NOFAULT(show_refuses_with_a_sentence) {
    char path[64], part[100];
    tiny(path);
    snprintf(part, sizeof(part), "%s-00001-of-00002.gguf", path);
    CHECK_INT(rename(path, part), 0);
    COMMAND(&r, perilune_tool_model, "model", "show", part);
    CHECK_INT(r.status, 1);
    command_has(r.out, "refused       is one part of a model that was split");
    CHECK_INT(truncate(part, 500), 0);
    COMMAND(&r, perilune_tool_model, "model", "show", part);
    CHECK_INT(r.status, 1);
    command_has(r.err, "perilune model show: ");
    command_has(r.err, "the file ends at byte 500: it is cut off or broken");
    CHECK_STR(r.out, "");
    unlink(part);
    COMMAND(&r, perilune_tool_model, "model", "show", part);
    CHECK_INT(r.status, 1);
    command_has(r.err, "No such file or directory");
}

TEST_NOFAULT(what_was_not_understood) {
    COMMAND(&r, perilune_tool_model, "model", "shwo");
    CHECK_INT(r.status, 2);
    command_has(r.err, "no command 'shwo'");
    COMMAND(&r, perilune_tool_model, "model");
    CHECK_INT(r.status, 2);
    COMMAND(&r, perilune_tool_model, "model", "--help");
    CHECK_INT(r.status, 0);
    COMMAND(&r, perilune_tool_model, "model", "show");
    CHECK_INT(r.status, 2);
    COMMAND(&r, perilune_tool_model, "model", "show", "x", "--kv-type", "q9");
    CHECK_INT(r.status, 2);
    command_has(r.err, "there is no type 'q9'");
    COMMAND(&r, perilune_tool_model, "model", "show", "x", "--context", "0");
    CHECK_INT(r.status, 2);
}

/* -- What needs a library, or does not --------------------------------------------------------- */

TEST_NOFAULT(what_the_library_never_sees) {
    char path[64];
    tiny(path);
    CHECK_INT(truncate(path, 600), 0);
    COMMAND(&r, perilune_tool_model, "model", "check", path);
    CHECK_INT(r.status, 1);
    command_has(r.err, "cut off or broken");
    COMMAND(&r, perilune_tool_model, "model", "quantize", path, "/tmp/perilune-none.gguf", "Q8_0");
    CHECK_INT(r.status, 1);
    command_has(r.err, "cut off or broken");
    CHECK(access("/tmp/perilune-none.gguf", F_OK) != 0);
    COMMAND(&r, perilune_tool_model, "model", "warm", path);
    CHECK_INT(r.status, 1);
    unlink(path);
    tiny(path);
    COMMAND(&r, perilune_tool_model, "model", "warm", path);
    CHECK_INT(r.status, 0);
    command_has(r.out, ": 960 bytes in ");
    COMMAND(&r, perilune_tool_model, "model", "check", "--library", "/tmp", path);
    CHECK_INT(r.status, 1);
    command_has(r.err, "libllama");
    COMMAND(&r, perilune_tool_model, "model", "quantize", path, path, "Q8_0");
    CHECK_INT(r.status, 1);
    command_has(r.err, "is there already (--force replaces it)");
    COMMAND(&r, perilune_tool_model, "model", "quantize", "-f", "--prune-layers", "1", path, path, "Q8_0");
    command_has(r.err, "the model has no such layer");
    COMMAND(&r, perilune_tool_model, "model", "quantize", "-f", "--prune-layers", "0", path, path, "Q8_0");
    command_has(r.err, "leaves no layer");
    unlink(path);
}

TEST_NOFAULT(words_of_quantize) {
    COMMAND(&r, perilune_tool_model, "model", "quantize", "a", "b", "Q9");
    CHECK_INT(r.status, 2);
    command_has(r.err, "there is no type 'Q9'; there are F32 F16");
    COMMAND(&r, perilune_tool_model, "model", "quantize", "a", "b");
    CHECK_INT(r.status, 2);
    static const char *const bad[] = { "", "x", "1,", "-1", "3,3", "600" };
    for (size_t i = 1; i < sizeof(bad) / sizeof(*bad); i++) {
        NOTE("%s", bad[i]);
        COMMAND(&r, perilune_tool_model, "model", "quantize", "a", "b", "Q8_0", "--prune-layers", bad[i]);
        if (strcmp(bad[i], "1,") != 0) CHECK_INT(r.status, 2);
    }
}

/* With what `make local` brings, where it is. */
TEST_NOFAULT(a_real_model) {
    static const char model[] = "local/smollm2-135m.gguf", out[] = "/tmp/perilune-pruned.gguf";
    if (access("local/lib", F_OK) != 0 || access(model, F_OK) != 0) return;
    COMMAND(&r, perilune_tool_model, "model", "check", "-L", "local/lib", "-t", "1", model);
    CHECK_STR(r.err, "");
    command_has(r.out, ": ok, says \"");
    COMMAND(&r, perilune_tool_model, "model", "quantize", "-L", "local/lib", model, out, "Q8_0");
    command_has(r.err, "requantizing from type q4_1 is disabled");
    COMMAND(&r, perilune_tool_model, "model", "quantize", "-f", "-L", "local/lib", "-t", "1", "--requantize",
            "--prune-layers", "25,9", model, out, "Q8_0");
    CHECK_STR(r.err, "");
    COMMAND(&r, perilune_tool_model, "model", "show", out);
    command_has(r.out, "28 layers of 576");
    unlink(out);
}
