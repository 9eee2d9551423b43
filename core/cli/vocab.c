/* vocab.c -- perilune vocab: vocabularies of models that do not come with the program.
 *
 *     vocab import tokenizer.json [-o FILE] [--name NAME]
 *     vocab show FILE|NAME
 *     vocab list
 *
 * An imported file is written beside its place and moved there when it is complete, and
 * is opened once before that, so that what exists is whole.
 *
 * Thread: one, a program of its own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "include/perilune.h"
#include "tokens/vocab.h"
#include "tokens/vocab_import.h"
#include "cli/args.h"
#include "cli/files.h"

#define MAX_JSON (256u << 20) /* the largest of today has 33 MB */

/* -- Files ----------------------------------------------------------------------------- */

static int read_file(const char *path, struct buf *to) {
    char text[FILES_WHY];
    const char *why = files_read(path, to, text);
    if (why != NULL) fprintf(stderr, "%s: %s\n", path, why);
    return why != NULL;
}

static int write_file(const char *path, const struct buf *from) {
    const char *why = files_write(path, from);
    if (why != NULL) fprintf(stderr, "%s: %s\n", path, why);
    return why != NULL;
}

/* -- import ------------------------------------------------------------------------------- */

/* "models/tokenizer.json" -> "models/tokenizer" */
static size_t stem_len(const char *path) {
    size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".json") == 0 ? n - 5 : n;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int import(const char *from, const char *to, const char *name) {
    char path[1024], temp[1100], label[64], message[512];
    struct buf json, file;
    struct vocab *v = NULL;
    int status = 1;
    if (to == NULL) {
        snprintf(path, sizeof(path), "%.*s.vocab", (int)stem_len(from), from);
        to = path;
    }
    if (strlen(to) >= sizeof(path)) {
        fprintf(stderr, "perilune vocab import: the path is too long\n");
        return 1;
    }
    if (name == NULL) {
        slice_copy(label, sizeof(label), slice_str(base_name(to)));
        char *dot = strrchr(label, '.');
        if (dot != NULL && dot != label) *dot = '\0';
        name = label;
    }
    snprintf(temp, sizeof(temp), "%s.new", to);
    buf_init(&json, MAX_JSON);
    buf_init(&file, 0);
    if (read_file(from, &json) != 0) goto done;
    if (vocab_import(buf_get(&json), name, &file, message, sizeof(message)) != 0) {
        fprintf(stderr, "%s: %s\n", from, message);
        goto done;
    }
    if (write_file(temp, &file) != 0) goto done;
    if (vocab_open(temp, &v, message, sizeof(message)) != 0) {
        fprintf(stderr, "%s\n", message);
        unlink(temp);
        goto done;
    }
    if (rename(temp, to) != 0) {
        fprintf(stderr, "%s: %s\n", to, strerror(errno));
        unlink(temp);
        goto done;
    }
    printf("%s: %s, %u tokens, %.1f MB\n", to, vocab_name(v), vocab_size(v), (double)file.len / 1e6);
    status = 0;
done:
    vocab_put(v);
    buf_deinit(&json);
    buf_deinit(&file);
    return status;
}

/* -- show, list ---------------------------------------------------------------------------- */

static int show(const char *what) {
    char message[512];
    struct vocab *v = vocab_builtin(slice_str(what));
    if (v == NULL && vocab_open(what, &v, message, sizeof(message)) != 0) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    printf("name: %s\ntokens: %u\npieces: %s\nnormalizer: %s\nadded tokens: %u\n", vocab_name(v), vocab_size(v),
           vocab_split_name(v), vocab_is_normalized(v) ? "NFC" : "none", vocab_added_count(v));
    vocab_put(v);
    return 0;
}

static int list(void) {
    for (unsigned i = 0; vocab_builtin_name(i) != NULL; i++) puts(vocab_builtin_name(i));
    return 0;
}

/* -- vocab ------------------------------------------------------------------------------------ */

int perilune_tool_vocab(int argc, char **argv) {
    const char *to = NULL, *name = NULL, *words[3];
    const struct arg table[] = {
        { "output", 'o', ARG_STRING, &to, "FILE", "import: where to write (tokenizer.vocab beside the .json)", 0, 0 },
        { "name", 'n', ARG_STRING, &name, "NAME", "import: what it is called in reports (the name of the file)", 0, 0 },
        { .name = NULL },
    };
    struct args a = {
        .command = "perilune vocab",
        .usage = "import tokenizer.json | show FILE|NAME | list",
        .about = "Vocabularies for counting tokens.  import turns a model's tokenizer.json (byte-level\n"
                 "BPE: Llama 3, Qwen 2.5 and 3, DeepSeek V3, GPT-OSS and what is built like them) into a\n"
                 "file that is mapped when it is used.  list says which are inside the program.",
        .table = table,
        .words = words,
        .max_words = 3,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 2 && strcmp(words[0], "import") == 0) return import(words[1], to, name);
    if (a.word_count == 2 && strcmp(words[0], "show") == 0) return show(words[1]);
    if (a.word_count == 1 && strcmp(words[0], "list") == 0) return list();
    if (a.word_count == 1 && strcmp(words[0], "import") == 0) return args_fail(&a, "import which tokenizer.json?");
    if (a.word_count == 1 && strcmp(words[0], "show") == 0) return args_fail(&a, "show which FILE or NAME?");
    return args_fail(&a, a.word_count == 0 ? "say what to do: import, show or list" : "cannot make sense of '%s'",
                     a.word_count == 0 ? "" : words[0]);
}
