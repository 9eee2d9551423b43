/* job_frames.h -- ids for the frames of a job's events. See job_frames.c. */
#ifndef PERILUNE_GATEWAY_JOB_FRAMES_H
#define PERILUNE_GATEWAY_JOB_FRAMES_H

#include "base/buf.h"

/* What a client has seen: all events up to `number`, and of the next one so many frames. */
struct job_seen {
    uint64_t number, frames;
};

/* Appends the frames of event `number`, each with an id, without the first `skip`. */
void job_frames_put(struct buf *b, struct slice data, uint64_t number, uint64_t skip);

/* "7" or "8.2" of a Last-Event-ID; "" is the beginning.  False: it is neither. */
bool job_seen_read(struct slice id, struct job_seen *out);

#endif
