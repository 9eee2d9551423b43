/* field.h -- what may stand in a header line, and which of two.  See field.c. */
#ifndef PERILUNE_HTTP_FIELD_H
#define PERILUNE_HTTP_FIELD_H

#include "base/buf.h"

/* What is wrong with this header line, as the end of a sentence that begins with the
 * header's name, or NULL.  Judges form only. */
const char *http_field_problem(struct slice name, struct slice value);

/* Says this name how long the message is or what becomes of the connection?  Such lines
 * are written where messages are framed, and nowhere else. */
bool http_field_is_framing(struct slice name);
/* Does the gateway say this of an answer itself, so that neither an upstream nor an error has it? */
bool http_field_is_own(struct slice name);

/* Appends a line, unless `block` has one with this name (flow/headers.h): that stands in its place. */
void http_field_put_unless(struct buf *out, struct slice block, struct slice name, struct slice value);

/* Has a message with this status no body, whatever its headers say (RFC 9112 6.3)? */
bool http_status_is_bodiless(int status);

#endif
