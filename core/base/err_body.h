/* err_body.h -- failures from what an upstream says: its status, the body of its
 * error, an error inside an answer that began well. See err_body.c. */
#ifndef PERILUNE_BASE_ERR_BODY_H
#define PERILUNE_BASE_ERR_BODY_H

#include "base/err.h"
#include "base/json.h"

/* Fills f from the status of an HTTP answer that is an error (or a redirect that nobody follows). */
void err_body_status(struct failure *f, int status);

/* What a client gets for an upstream's status: the same, where it means the same to a client. */
int err_body_client_status(int status);

/* Does f say that an account has run out of money?  Or that what was asked is not allowed, or too long? */
bool err_body_is_quota(const struct failure *f);
bool err_body_is_content(const struct failure *f);

/* Adds to f, which err_body_status() has filled, what the body of that answer says: JSON of
 * whatever shape, HTML, or text.  The body itself is not kept. */
void err_body_add(struct failure *f, struct slice body);

/* Does this value of a member `error` say one?  null, false and what is empty do not: some servers have them beside
 * every answer. */
bool err_body_is_said(const struct json_doc *doc, uint32_t error);

/* Is the document an error, although it came where an answer was expected?  Then fills f, with
 * the status that the error names, or that its words mean, and returns true.  `named`: the
 * transport has said that it is one (event: error), whatever its shape. */
bool err_body_inside(struct failure *f, const struct json_doc *doc, bool named);
/* The same, of a text that is no JSON and was said to be an error. */
void err_body_inside_text(struct failure *f, struct slice text);

/* Does the error complain of one of these fields?  Its own word for the field at fault decides; where it has none,
 * any mention counts. */
bool err_body_names(struct slice body, const char *const *words, unsigned count);

/* Can a client of OpenAI read this body: {"error":{"message":"..."}}? */
bool err_body_is_openai(struct slice body);
/* The body of an error for a client: the upstream's own words where it spoke of the client's mistake. */
void err_body_write(const struct failure *f, struct buf *out);

#endif
