/* jinja.h -- chat templates of models, the part of Jinja that they use.  See jinja_run.c. */
#ifndef PERILUNE_LOCAL_JINJA_H
#define PERILUNE_LOCAL_JINJA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

struct jinja; /* a template; immutable, may be rendered by several threads at once */

#define JINJA_MAX_TEXT (1u << 20) /* bytes of a template */

struct jinja_error {
    unsigned line;         /* of the template, from 1; 0: none */
    bool     raised;       /* the template itself refuses this conversation: raise_exception() */
    char     message[240]; /* what, and where there is one, what instead */
};

/* Reads a template.  text is copied.  Returns 0; PERILUNE_ERR_INVAL with *err filled: it is none, or it uses
 * what this interpreter does not know; PERILUNE_ERR_NOMEM.  On failure *out is NULL. */
int  jinja_new(struct jinja **out, struct slice text, struct jinja_error *err);
void jinja_free(struct jinja *t); /* NULL: nothing */
/* Does the template read a variable of this name anywhere ("tools", "enable_thinking")? */
bool jinja_mentions(const struct jinja *t, struct slice name);

enum jinja_var_type { JINJA_VAR_JSON, JINJA_VAR_TEXT, JINJA_VAR_BOOL };

/* A variable of the template.  Everything is borrowed for the call. */
struct jinja_var {
    struct slice           name;
    enum jinja_var_type    type;
    const struct json_doc *doc; /* JSON: the value at node */
    uint32_t               node;
    struct slice           text; /* TEXT: UTF-8 */
    bool                   flag; /* BOOL */
};

struct jinja_limits { /* 0: the default */
    uint64_t steps;  /* 20 million: about one per operation, one per 64 bytes of text moved */
    size_t   memory; /* bytes, 64 MiB */
    size_t   output; /* bytes, 16 MiB */
};

struct jinja_input {
    const struct jinja_var *vars;
    unsigned                len;
    int64_t                 now; /* seconds since 1970, UTC, for strftime_now() */
    struct jinja_limits     limits;
};

/* Appends the text to out.  Returns 0; PERILUNE_ERR_INVAL with *err filled: the template raised, or did what
 * cannot be done with these values; PERILUNE_ERR_LIMITED with *err: over a limit; PERILUNE_ERR_NOMEM.  On
 * failure out is as it was.  Thread: any. */
int jinja_render(const struct jinja *t, const struct jinja_input *in, struct buf *out, struct jinja_error *err);

#endif
