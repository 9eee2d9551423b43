/* test_models.c -- files behind patterns: opened once, kept over reloads, let go of.  Names
 * and patterns are in test_tokens.c. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "include/perilune.h"
#include "tokens/models.h"
#include "tokens/tokens.h"
#include "tokens/vocab_import.h"
#include "unit.h"

/* A vocabulary of the bytes and one merge. */
static int make_file(const char *path, const char *name, struct buf *json, struct buf *file) {
    unsigned next = 0x100;
    char message[300];
    buf_clear(json);
    buf_clear(file);
    buf_puts(json, "{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
                   "\"added_tokens\":[],\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (unsigned c = 0; c < 256; c++) {
        bool printable = (c > 0x20 && c < 0x7F) || (c > 0xA0 && c != 0xAD);
        buf_printf(json, "%s\"\\u%04x\":%u", c ? "," : "", printable ? c : next++, c);
    }
    buf_puts(json, ",\"ab\":256},\"merges\":[\"a b\"]}}");
    if (buf_failed(json)) return json->error;
    int rc = vocab_import(buf_get(json), name, file, message, sizeof(message));
    NOTE("%s", rc != 0 ? message : "");
    if (rc != 0) return rc;
    char other[80]; /* replaced as a whole, as the import does: whoever has the old one mapped keeps it */
    snprintf(other, sizeof(other), "%s.new", path);
    FILE *f = fopen(other, "wb");
    CHECK(f != NULL);
    CHECK_UINT(fwrite(file->data, 1, file->len, f), file->len);
    fclose(f);
    CHECK_INT(rename(other, path), 0);
    return 0;
}

static const char *name_of(const struct models *m, const char *model) {
    struct model found;
    models_find(m, slice_str(model), &found);
    return vocab_name(found.vocab);
}

static struct vocab *vocab_of(const struct models *m, const char *model) {
    struct model found;
    models_find(m, slice_str(model), &found);
    return found.vocab;
}

TEST_FAULT(files) {
    char path[64] = "/tmp/perilune-models-XXXXXX", message[400];
    struct models *one = NULL, *two = NULL, *three = NULL, *four = NULL;
    struct tokens *t = NULL;
    struct buf json, file;
    buf_init(&json, 0);
    buf_init(&file, 0);
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    CHECK_NOMEM(make_file(path, "first", &json, &file), done);

    one = models_new(NULL);
    if (FAULTED(one)) goto done;
    CHECK_NOMEM(models_add(one, "mine*", path, NULL, message, sizeof(message)), done);
    CHECK_NOMEM(models_add(one, "also-mine", path, "chatml", message, sizeof(message)), done);
    models_done(one);
    CHECK_STR(name_of(one, "mine-7b"), "first");
    CHECK_PTR(vocab_of(one, "also-mine"), vocab_of(one, "mine-7b"));
    CHECK_STR(models_file(one, 0), path);
    CHECK(models_file(one, 1) == NULL);

    t = tokens_new();
    if (FAULTED(t)) goto done;
    struct tokens_ask ask = { .limit = TOKENS_NO_LIMIT };
    struct tokens_count n;
    models_find(one, SLICE("mine-7b"), &ask.model);
    CHECK_NOMEM(tokens_text(t, &ask, SLICE("abab!"), &n), done);
    CHECK_UINT(n.tokens, 3);
    CHECK(n.exact);

    /* The same file again: the same mapping. */
    two = models_new(one);
    if (FAULTED(two)) goto done;
    CHECK_NOMEM(models_add(two, "mine*", path, NULL, message, sizeof(message)), done);
    models_done(two);
    if (!unit_fault_fired()) CHECK_PTR(vocab_of(two, "mine-7b"), vocab_of(one, "mine-7b"));

    /* Another file under the same name: opened again, and the old one goes on. */
    CHECK_NOMEM(make_file(path, "second", &json, &file), done);
    three = models_new(two);
    if (FAULTED(three)) goto done;
    CHECK_NOMEM(models_add(three, "mine*", path, NULL, message, sizeof(message)), done);
    models_done(three);
    CHECK_STR(name_of(three, "mine-7b"), "second");
    CHECK_STR(name_of(two, "mine-7b"), "first");
    CHECK(!models_use(three, vocab_of(two, "mine-7b")));
    tokens_keep(t, three);

    /* Nobody asks for it any more. */
    four = models_new(three);
    if (FAULTED(four)) goto done;
    models_done(four);
    CHECK(models_file(four, 0) == NULL);
    CHECK(!models_use(four, vocab_of(three, "mine-7b")));
    CHECK(models_use(four, vocab_of(four, "gpt-4")));
    CHECK_STR(name_of(four, "mine-7b"), "o200k_base");
done:
    tokens_free(t);
    models_put(one);
    models_put(two);
    models_put(three);
    models_put(four);
    buf_deinit(&json);
    buf_deinit(&file);
    unlink(path);
}

TEST_FAULT(files_that_cannot_be_used) {
    char path[64] = "/tmp/perilune-models-XXXXXX", message[400];
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, "not a vocabulary", 16), 16);
    close(fd);
    struct models *m = models_new(NULL);
    if (FAULTED(m)) goto done;
    int rc = models_add(m, "x", path, NULL, message, sizeof(message));
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, PERILUNE_ERR_INVAL);
    CHECK(strstr(message, path) != NULL);
    CHECK_STR(name_of(m, "x"), "o200k_base");
    models_done(m);
    CHECK(models_file(m, 0) == NULL);
done:
    models_put(m);
    unlink(path);
}
