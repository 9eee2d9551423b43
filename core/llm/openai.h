/* openai.h -- answers made here, in OpenAI's dialect. See openai.c. */
#ifndef PERILUNE_LLM_OPENAI_H
#define PERILUNE_LLM_OPENAI_H

#include "base/err.h"
#include "base/json.h"
#include "flow/flow.h"
#include "llm/dialect.h"

struct openai_answer {
    struct slice        id, model;
    uint64_t            created; /* Unix seconds */
    const struct usage *usage;
};

/* A whole chat.completion with this text. */
void openai_completion(struct buf *out, const struct openai_answer *a, struct slice text);

/* Frames ("data: {...}\n\n") of a stream. */
void openai_chunk_role(struct buf *out, const struct openai_answer *a);
void openai_chunk_text(struct buf *out, const struct openai_answer *a, struct slice text);
void openai_chunk_finish(struct buf *out, const struct openai_answer *a);
void openai_chunk_usage(struct buf *out, const struct openai_answer *a);
/* The object of usage, from our numbers. */
void openai_put_usage(struct buf *out, const struct usage *u);
/* Where each detail of usage stands. */
extern const struct openai_usage_detail { struct slice object, name; } openai_usage_details[USAGE_DETAIL_COUNT];

/* The same for answers with several choices: role of a choice (null: it may turn out to have no content), text of it
 * (logprobs: elements of an array, with commas between them; empty: none are told), what it thinks, a call of a tool,
 * and why it ended. */
void openai_choice_role(struct buf *out, const struct openai_answer *a, unsigned choice, bool null);
void openai_choice_text(struct buf *out, const struct openai_answer *a, unsigned choice, struct slice text,
                        struct slice logprobs);
void openai_choice_thought(struct buf *out, const struct openai_answer *a, unsigned choice, struct slice text,
                           struct slice logprobs);
struct openai_call {
    unsigned     number; /* of the choice's calls, from 0 */
    struct slice id, name, arguments;
};
/* Appends an element of tool_calls in a delta. */
void openai_call_write(struct buf *out, const struct openai_call *call);
void openai_choice_call(struct buf *out, const struct openai_answer *a, unsigned choice, const struct openai_call *call,
                        struct slice logprobs);
void openai_choice_end(struct buf *out, const struct openai_answer *a, unsigned choice, const char *reason);

struct openai_logprob {
    struct slice text; /* of the token: any bytes */
    double       value;
};
/* Appends an element of logprobs.content: a token, and those that were likeliest in its place. */
void openai_put_logprob(struct buf *out, const struct openai_logprob *token, const struct openai_logprob *tops,
                        unsigned count);

/* A parsed chat.completion as the frames of a stream, without [DONE]: for a client
 * whose stream has begun before it was known that the answer comes whole.  Returns
 * false, with nothing written, when doc is no chat.completion. */
bool openai_completion_as_chunks(struct buf *out, const struct json_doc *doc, bool keep_usage);

/* Is this choice complete?  A finish_reason that says something. */
bool openai_is_finished(const struct json_doc *doc, uint32_t choice);

/* Of the row openai_chat (openai_calls.c). */
void openai_calls(const struct json_doc *doc, void (*each)(void *ud, const struct dialect_call *c), void *ud);

/* Of the row openai_chat (openai_pieces.c, openai_traits.c). */
void openai_pieces(const struct json_doc *doc, struct piece_list *l);
void openai_write_common(struct buf *out, const struct json_doc *doc);
void openai_write_piece(struct buf *out, struct slice common, const struct piece *p, struct slice name,
                        struct slice text);
void openai_write_usage(struct buf *out, struct slice common, const struct usage *u, struct slice said);
struct slice openai_usage_said(struct slice data);
unsigned openai_traits(const struct json_doc *doc, struct chunk_choices *c);
unsigned openai_embedding_traits(const struct json_doc *doc, struct chunk_choices *c);

/* Of the row openai_chat (openai_compose.c), see composing.h. */
struct composing_call;
struct retold;
void openai_compose_common(struct buf *out, struct slice id, struct slice model, uint64_t created);
void openai_compose_text(struct buf *out, struct slice common, unsigned choice, bool first, enum piece_kind kind,
                         struct slice text);
void openai_compose_call(struct buf *out, struct slice common, unsigned choice, bool first, unsigned number,
                         const struct composing_call *call);
void openai_compose_end(struct buf *out, struct slice common, unsigned choice, bool first, struct slice reason);
bool openai_compose_retell(struct buf *out, const struct json_doc *doc, struct retold *how);
struct slice openai_compose_worse(struct slice a, struct slice b);

#endif
