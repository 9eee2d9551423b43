/* held.h -- text of an answer that may not be given yet. See held.c. */
#ifndef PERILUNE_LOCAL_HELD_H
#define PERILUNE_LOCAL_HELD_H

#include "base/buf.h"

#define HELD_STOPS     16  /* of a request; OpenAI's most is 4 */
#define HELD_STOP_SIZE 512 /* bytes of one */

struct held {
    struct buf          text;  /* that came and was not given */
    const struct slice *stops; /* borrowed */
    unsigned            stop_count;
    bool                over;  /* a stop came: nothing more is taken */
};

void held_init(struct held *h, const struct slice *stops, unsigned count);
void held_deinit(struct held *h);
/* Takes a piece, and appends to out what may be given now.  True: a stop came, and what stood before it is in out.
 * Errors are sticky in h->text and out. */
bool held_put(struct held *h, struct slice piece, struct buf *out);
/* Nothing more comes: the rest. */
void held_end(struct held *h, struct buf *out);

#endif
