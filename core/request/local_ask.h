/* local_ask.h -- what a local model is asked, and what the files that read it out of a body share. See local_ask.c. */
#ifndef PERILUNE_REQUEST_LOCAL_ASK_H
#define PERILUNE_REQUEST_LOCAL_ASK_H

#include "local/answer_grammar.h"
#include "local/chat_style.h"
#include "local/resident.h"
#include "request/body.h"
#include "request/local_rank.h"
#include "request/request.h"
#include "upstream/target.h"

/* A question as it is read out of a body; its pointers lead into the rest. */
struct local_question {
    struct turn_ask      ask;
    struct buf           text;    /* the prompt, or all texts of an embedding */
    struct slice        *texts;   /* pieces of the prompt, or texts */
    struct buf           words;   /* stops, one behind the other */
    struct buf           grammar;
    struct buf           strings; /* of ask.reading */
    struct slice         stops[TURN_STOPS];
    struct sampler_bias  biases[SAMPLER_BIASES];
    bool                 base64;  /* vectors are told so */
    struct local_rank   *rank;    /* the caller's: where one is read to */
};

/* 0, or a negative code with *f filled: what is wrong with which field.  The target has an engine. */
int  local_read(struct local_question *q, const struct target *t, const struct request *req, const struct body *body,
                struct failure *f);
void local_question_deinit(struct local_question *q); /* after local_read(), however it ended */

/* -- For the files that read ----------------------------------------------------------- */

struct asking {
    struct local_question    *q;
    const struct resident    *r;
    const struct target      *target;
    const struct chat_traits *traits; /* of a chat */
    const struct json_doc    *doc;
    struct failure           *f;
    struct answer_shape       shape;  /* of a chat's answer */
    struct answer_tool        tools[ANSWER_TOOLS];
    bool                      offers; /* the model is told of the tools */
};

/* '%s' must ...; the first refusal counts.  PERILUNE_ERR_INVAL. */
int local_refuse(struct asking *in, const char *field, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int local_no_memory(struct asking *in);
/* A member of the body; JSON_NONE: absent, or null. */
uint32_t local_member(const struct asking *in, const char *name);
bool local_is_word(const struct json_doc *doc, uint32_t n, const char *word);

int local_read_form(struct asking *in); /* local_form.c: in->shape but for what it says of thoughts */
int local_read_prompt(struct asking *in, const struct chat *chat); /* local_prompt.c: in->q->texts, and that */
int local_write_grammar(struct asking *in); /* local_form.c: out of in->shape, where one is needed */

#endif
