/* models.h -- which vocabulary a model's name stands for, and how its prompts are put
 * together.  See models.c.
 *
 * Thread: a table is built by one, then never changes; any may look. */
#ifndef PERILUNE_TOKENS_MODELS_H
#define PERILUNE_TOKENS_MODELS_H

#include "tokens/image.h"
#include "tokens/vocab.h"

/* ORDER chat_form_name(): how messages become one text. */
enum chat_form { FORM_OPENAI, FORM_HARMONY, FORM_CHATML, FORM_LLAMA3, FORM_DEEPSEEK, FORM_KINDS };

struct model {
    struct vocab            *vocab; /* borrowed from the table */
    enum chat_form           form;
    const struct image_rule *image;
    bool                     exact; /* the vocabulary is the model's own */
    bool                     image_known; /* so is the rule for images */
};

struct models;

/* The defaults: the names that are known, and "*".  Vocabularies of `old` (NULL: none)
 * are used again when their files have not changed.  NULL: no memory. */
struct models *models_new(const struct models *old);
struct models *models_ref(struct models *m); /* m may be NULL */
void           models_put(struct models *m);

/* Names that fit pattern (text with any number of *, letters of either case) use
 * vocabulary: the name of a built-in, or a file.  form NULL: what the defaults say for
 * the name.  Returns 0, PERILUNE_ERR_INVAL (no such built-in or form; a file that cannot be
 * used), PERILUNE_ERR_IO or PERILUNE_ERR_NOMEM with a sentence in message.  Before the
 * table is shared. */
int models_add(struct models *m, const char *pattern, const char *vocabulary, const char *form, char *message,
               size_t size);

/* All that was to be added is: lets go of what only an old table used. */
void models_done(struct models *m);

/* The model for a name: of the patterns that were added the one with the most letters
 * of its own, else of the defaults.  "vendor/model" is looked for whole, then without
 * the vendor.  Always finds one: the last default is "*". */
void models_find(const struct models *m, struct slice name, struct model *out);

/* Does one of the table's models use this vocabulary? */
bool models_use(const struct models *m, const struct vocab *v);
/* The i-th file that was opened, for who watches them; NULL past the last. */
const char *models_file(const struct models *m, unsigned i);

const char *chat_form_name(enum chat_form form);

#endif
