/* count.c -- perilune tokens: how many tokens a text or a chat request is.
 *
 * The count comes first, by itself on its line, so that a script can take it; then what
 * was counted with, for people. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "gateway/gateway.h"
#include "tokens/tokens.h"
#include "cli/args.h"
#include "cli/files.h"

#define FILE_LIMIT (256u * 1024 * 1024) /* bytes */

struct counting {
    const char    *model, *vocabulary, *config, *file;
    bool           chat;
    struct models *models;
    struct buf     text, name;
    struct model   found;
    char           own[64]; /* the vocabulary that the model has, when -v names another; or "" */
};

/* -- Input ----------------------------------------------------------------------------- */

static int say(const struct counting *j, const char *what) {
    fprintf(stderr, "perilune tokens: %s: %s\n", j->file ? j->file : "standard input", what);
    return 1;
}

static int read_input(struct counting *j) {
    char text[FILES_WHY];
    const char *why = files_read(j->file, &j->text, text);
    return why != NULL ? say(j, why) : 0;
}

/* -- Models ------------------------------------------------------------------------------ */

static int find_model(struct counting *j, struct slice name) {
    char message[1200];
    if (j->config != NULL && gateway_models(j->config, &j->models, message, sizeof(message)) != 0) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    if (j->models == NULL) j->models = models_new(NULL);
    if (j->models == NULL) return say(j, "out of memory");
    models_find(j->models, name, &j->found);
    if (j->vocabulary == NULL) return 0;
    const struct model as_named = j->found;
    if (as_named.exact) slice_copy(j->own, sizeof(j->own), slice_str(vocab_name(as_named.vocab)));
    models_put(j->models); /* one in which the vocabulary is everybody's */
    j->models = models_new(NULL);
    if (j->models == NULL) return say(j, "out of memory");
    if (models_add(j->models, "*", j->vocabulary, chat_form_name(as_named.form), message, sizeof(message)) != 0) {
        fprintf(stderr, "perilune tokens: %s\n", message);
        return 1;
    }
    models_find(j->models, name, &j->found);
    if (strcmp(j->own, vocab_name(j->found.vocab)) == 0) j->own[0] = '\0';
    if (j->own[0] != '\0') j->found.exact = false;
    return 0;
}

/* -- Counting ------------------------------------------------------------------------------ */

static int print(const struct counting *j, struct slice name, const struct tokens_count *n) {
    printf("%llu\n", (unsigned long long)n->tokens);
    char shown[200];
    slice_copy(shown, sizeof(shown), name);
    slice_mute(shown);
    if (name.len > 0) printf("model %s, ", shown);
    printf("vocabulary %s, %s", vocab_name(j->found.vocab), n->exact ? "exact\n" : "approximate");
    if (j->own[0] != '\0')
        printf(": not this model's own vocabulary, which is %s\n", j->own);
    else if (!j->found.exact)
        puts(": not this model's own vocabulary (name one with -v, or under tokenizers in a -c FILE.lua)");
    else if (!n->exact)
        puts(": tools, audio, files and images from elsewhere are estimates");
    return 0;
}

static int count_text(struct counting *j) {
    struct slice name = slice_str(j->model ? j->model : j->vocabulary ? "" : "gpt-4o");
    int status = find_model(j, name);
    if (status != 0) return status;
    struct tokens *t = tokens_new();
    struct tokens_ask ask = { .model = j->found, .limit = TOKENS_NO_LIMIT };
    struct tokens_count n;
    int rc = t ? tokens_text(t, &ask, buf_get(&j->text), &n) : PERILUNE_ERR_NOMEM;
    if (rc == 0) {
        status = print(j, name, &n);
    } else if (rc == PERILUNE_ERR_INVAL) {
        char what[80];
        snprintf(what, sizeof(what), "not UTF-8 at byte %zu", tokens_error_offset(t));
        status = say(j, what);
    } else {
        status = say(j, "out of memory");
    }
    tokens_free(t);
    return status;
}

static int count_doc(struct counting *j, const struct json_doc *doc, const struct chat *chat) {
    if (j->model != NULL) buf_puts(&j->name, j->model);
    else if (chat->model != JSON_NONE) json_decode_string(doc, chat->model, &j->name);
    else buf_puts(&j->name, "gpt-4o");
    struct slice name = buf_get(&j->name);
    int status = find_model(j, name);
    if (status != 0) return status;
    struct tokens *t = tokens_new();
    struct tokens_ask ask = { .model = j->found, .limit = TOKENS_NO_LIMIT };
    struct tokens_count n;
    int rc = t ? tokens_body(t, &ask, doc, &n) : PERILUNE_ERR_NOMEM;
    status = rc == 0 ? print(j, name, &n) : say(j, "out of memory");
    tokens_free(t);
    return status;
}

static int count_chat(struct counting *j) {
    struct json_doc doc = { .nodes = NULL };
    struct chat chat;
    struct failure f;
    failure_init(&f);
    int rc = chat_parse(&doc, buf_get(&j->text), &f);
    if (rc == 0) rc = chat_read_completion(&doc, &chat, &f);
    int status = rc == 0 ? count_doc(j, &doc, &chat) : say(j, f.message);
    json_deinit(&doc);
    failure_deinit(&f);
    return status;
}

/* -- Arguments -------------------------------------------------------------------------------- */

static int read_arguments(struct counting *j, int argc, char **argv) {
    const struct arg table[] = {
        { "model", 'm', ARG_STRING, &j->model, "NAME", "as clients name it (default: what --chat finds, else gpt-4o)",
          0, 0 },
        { "vocabulary", 'v', ARG_STRING, &j->vocabulary, "FILE|NAME",
          "instead of the model's: what `perilune vocab import` made, or `vocab list` names", 0, 0 },
        { "config", 'c', ARG_STRING, &j->config, "FILE.lua", "its `tokenizers` say which vocabulary a model has",
          0, 0 },
        { "chat", 0, ARG_FLAG, &j->chat, NULL, "FILE is the JSON of a chat request: messages, tools, images count",
          0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune tokens",
        .usage = "[-m MODEL] [-v VOCABULARY] [-c FILE.lua] [--chat] [FILE]",
        .about = "Counts the tokens of FILE, or of the standard input without FILE or with -.  The first\n"
                 "number printed is the count; then model, vocabulary, and whether the count is exact.\n"
                 "Exit status 0: counted, 1: could not (no UTF-8, no JSON, no such file), 2: wrong usage.",
        .table = table,
        .words = &j->file,
        .max_words = 1,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (j->file != NULL && strcmp(j->file, "-") == 0) j->file = NULL;
    return -1;
}

PERILUNE_API int perilune_tool_tokens(int argc, char **argv) {
    struct counting j = { .model = NULL };
    int status = read_arguments(&j, argc, argv);
    if (status >= 0) return status;
    buf_init(&j.text, FILE_LIMIT);
    buf_init(&j.name, 0);
    status = read_input(&j);
    if (status == 0) status = j.chat ? count_chat(&j) : count_text(&j);
    buf_deinit(&j.text);
    buf_deinit(&j.name);
    models_put(j.models);
    return status;
}
