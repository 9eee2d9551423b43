/* chat_style.h -- how a model wants conversations written.  See chat_style.c. */
#ifndef PERILUNE_LOCAL_CHAT_STYLE_H
#define PERILUNE_LOCAL_CHAT_STYLE_H

#include "base/json.h"
#include "include/perilune_engine.h"
#include "local/call_reader.h"
#include "local/jinja.h"
#include "local/think_reader.h"

struct chat_style; /* immutable */

#define CHAT_STYLE_CUT  "\xEF\xB7\x90" /* U+FDD0, in a text: what is before and behind are cut into tokens apart */
#define CHAT_STYLE_HERE "\xEF\xB7\x91" /* U+FDD1, in the last message: here the answer goes on */
#define CHAT_STYLE_ARGS 16             /* variables of a template that a request may set */

/* What a template does with what conversations may have. */
struct chat_traits {
    bool built_in;          /* the model has none: ChatML's is used */
    bool tools;             /* tells the model which tools there are */
    bool describes;         /* and fails where one has no description: "" is one */
    bool calls;             /* writes calls that were made, and what came of them */
    bool arguments_as_text; /* wants their arguments as JSON text, not as an object */
    bool calls_with_null;   /* wants null for the content beside calls, not "" */
    bool developer;         /* knows the role */
    struct slice think_switch; /* the variable that says whether it thinks; empty: it has none */
    bool effort;            /* reads reasoning_effort */
    bool thinking;          /* looks for earlier thoughts in "thinking", not in "reasoning_content" */
    struct call_shape  shape; /* of calls in answers */
    struct think_marks marks; /* both empty: the model does not think aloud */
};

/* Reads the template, and finds out what it does by rendering small conversations.  text: of it; empty: ChatML's.
 * Returns 0, or a negative code with a sentence in `why`, which has the line. */
int  chat_style_new(struct chat_style **out, const struct perilune_engine *e, const struct perilune_engine_model *m,
                   struct slice text, char *why, size_t why_size);
/* The same for the template in a file, or with path NULL the model's own. */
int  chat_style_load(struct chat_style **out, const struct perilune_engine *e, const struct perilune_engine_model *m,
                    const char *path, char *why, size_t why_size);
void chat_style_free(struct chat_style *f); /* NULL: nothing */
const struct chat_traits *chat_style_traits(const struct chat_style *f);

struct chat_style_input {
    const struct json_doc *doc;
    uint32_t               messages, tools; /* tools JSON_NONE: there are none */
    bool                   ask;             /* the text ends with the beginning of an answer */
    int64_t                now;             /* seconds since 1970 */
    const struct jinja_var *args;           /* CHAT_STYLE_ARGS at most */
    unsigned               arg_count;
};

/* Appends the text of a conversation, with bos where the model wants it.  Returns what jinja_render() does. */
int  chat_style_render(const struct chat_style *f, const struct chat_style_input *in, struct buf *out,
                      struct jinja_error *err);

/* Appends a text of somebody's with a CUT in every control token that it spells, so that none comes of it. */
void chat_style_guard(const struct chat_style *f, struct slice text, struct buf *out);
/* Would that change anything? */
bool chat_style_is_harmless(const struct chat_style *f, struct slice text);

/* Is this a control token that belongs to an answer's text, because it marks calls or thoughts? */
bool chat_style_is_mark(const struct chat_style *f, int32_t token);

#endif
