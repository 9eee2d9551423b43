/* stream_whole.h -- the whole answer that an event of a stream may hold. See stream_whole.c. */
#ifndef PERILUNE_LLM_STREAM_WHOLE_H
#define PERILUNE_LLM_STREAM_WHOLE_H

#include "base/buf.h"

/* The data of an event of a stream whose dialect is none of ours.  True: it told all of the answer, which is in out. */
bool stream_whole(struct slice data, struct buf *out);

#endif
