/* embeddings.h -- questions for vectors put together to one, and its answer taken apart. See embeddings.c. */
#ifndef PERILUNE_REQUEST_EMBEDDINGS_H
#define PERILUNE_REQUEST_EMBEDDINGS_H

#include "base/json.h"
#include "flow/flow.h"

#define EMBEDDINGS_INPUTS 2048 /* of a question: OpenAI's most */

/* What a question asks for, and whether it can go together with others. */
struct embeddings_form {
    unsigned inputs; /* 0: it cannot: nobody here knows what its input is, or the upstream would refuse it */
    bool     ids;    /* they are token ids: one input is a list of numbers */
};
struct embeddings_form embeddings_form(const struct json_doc *doc);
/* Appends what must be the same for two of them to go together: all but their inputs. */
void embeddings_key(const struct json_doc *doc, struct embeddings_form form, struct buf *out);

struct embeddings_join;

/* One to be put together: its body, and how many tokens it has, as far as is known (0: it is not). */
struct embeddings_part {
    const struct json_doc *doc;
    uint64_t               tokens;
};

/* Writes the body that asks for what all of them do, each input once.  The bodies are of one key, and are not needed
 * behind that.  NULL: no memory. */
struct embeddings_join *embeddings_join(const struct embeddings_part *parts, unsigned count, struct buf *out);
void embeddings_join_free(struct embeddings_join *j); /* NULL is fine */
unsigned embeddings_parts(const struct embeddings_join *j);

/* Reads the answer to that body, which is borrowed as long as parts are written of it. Returns 0,
 * PERILUNE_ERR_INVAL (it is no list of vectors), PERILUNE_ERR_NOMEM. */
int  embeddings_read(struct embeddings_join *j, struct slice answer);
/* The answer of part i, and its share of the usage.  False, with nothing written: a vector of it is missing. */
bool embeddings_write(const struct embeddings_join *j, unsigned i, struct buf *out, struct usage *usage);

/* The vector of input i, `of` so many, in an answer: its numbers, and how many; 0: there is none, or none that has
 * a direction. */
unsigned embeddings_vector(const struct json_doc *answer, unsigned i, unsigned of, float *out, unsigned most);

#endif
