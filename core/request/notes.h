/* notes.h -- what policies want to have said of a request when it is over. See notes.c. */
#ifndef PERILUNE_REQUEST_NOTES_H
#define PERILUNE_REQUEST_NOTES_H

#include "base/buf.h"
#include "request/request.h"

#define NOTES_MOST 32   /* names of a request */
#define NOTE_NAME  64   /* bytes */
#define NOTE_VALUE 1024 /* bytes of JSON */

/* In r's arena; a name that is there gets the new value.  Returns 0, PERILUNE_ERR_LIMITED or PERILUNE_ERR_NOMEM. */
int  notes_put(struct request *r, struct slice name, struct slice json);
/* {"NAME":value,...}, in the order in which the names came; nothing when there are none. */
void notes_write(const struct request *r, struct buf *out);

#endif
